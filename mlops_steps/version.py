"""The version of the package and of the Jenkins library, which must be the same."""

__version__ = "0.1.0"
