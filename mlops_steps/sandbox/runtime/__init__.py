"""What runs users' code: the small ``dataiku`` package, and the child processes that import it."""
