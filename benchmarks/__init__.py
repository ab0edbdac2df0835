"""Benchmarks: each compares with a named baseline that is measured in the same run. `make bench` runs all of them."""
