"""Dataiku Govern, as far as a gate reads it: items, their sign-offs, and what the Project Deployer makes of them."""
