"""Faults on purpose: what a node does wrong, when, and how often; and the log of what it was asked."""
