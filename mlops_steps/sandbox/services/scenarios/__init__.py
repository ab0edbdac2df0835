"""Scenarios: their definitions, their runs step by step, and the reports of test scenarios."""
