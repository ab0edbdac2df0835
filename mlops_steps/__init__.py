"""Pipeline steps that take Dataiku DSS projects to production from Jenkins."""

__version__ = "0.1.0"
