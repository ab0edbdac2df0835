"""What happened to a project: differences of bundles, past releases, figures of delivery."""
