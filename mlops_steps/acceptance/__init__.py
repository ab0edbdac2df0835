"""What the steps assume of DSS, one assumption each, and whether a site's own nodes fulfil it."""
