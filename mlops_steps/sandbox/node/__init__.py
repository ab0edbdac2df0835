"""What every service of a sandbox node stands on: HTTP, authentication, storage, futures, the server itself."""
