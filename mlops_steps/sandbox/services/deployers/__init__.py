"""What the Project Deployer and the API Deployer have in common."""
