"""The commands of ``mlops-steps``: they parse, call one step, and say how it ended."""
