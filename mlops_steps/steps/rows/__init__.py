"""The rows of the registry, and what a row is."""
