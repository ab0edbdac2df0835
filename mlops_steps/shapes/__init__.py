"""The shapes of DSS's answers: names and types of fields, words of states, forms of dates. No values, no names.

`accept --record` writes those of a site, the sandbox answers in them, and its own are in ``sandbox.yml``.
"""
