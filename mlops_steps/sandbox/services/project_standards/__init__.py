"""Project Standards: checks, the scopes that choose them for a project, their runs and reports."""
