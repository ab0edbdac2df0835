"""The folder that child processes have on their path. Nothing in it imports ``mlops_steps``."""
