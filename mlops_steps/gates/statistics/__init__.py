"""The statistics of gates and of canary releases. Requires the extra ``gates`` (NumPy and SciPy).

Each function takes plain arrays and counts, and knows nothing of DSS. What a sample is too small to show, the callers
report as inconclusive; for that every answer carries its interval and its number of rows.
"""
