"""The Project Deployer: infrastructures, published projects, deployments and their updates."""
