"""The API Deployer: infrastructures of API nodes, published services, deployments and their updates."""
