"""Statements about bundles: what they say (in-toto, SLSA), how they are signed (DSSE), and what they prove."""
