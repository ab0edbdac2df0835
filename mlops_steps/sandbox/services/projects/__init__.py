"""Projects: their files, metadata, variables, settings, library and Git."""
