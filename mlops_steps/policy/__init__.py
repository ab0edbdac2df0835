"""How far a project goes by itself: what applies, and which file says so.

``criticality`` sets the defaults, ``mlops.yml`` each value by itself, and an organisation's file the least of each. A
project can tighten what its organisation requires, and cannot loosen it.
"""
