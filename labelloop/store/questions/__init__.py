"""Questions: read-only statements across tables, for reports, checks and gauges, in the caller's transaction."""
