"""The rows of the table, a module for each subject. Each has ``rows()``, which measures and returns them."""
