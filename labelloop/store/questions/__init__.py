"""Questions: read-only statements across tables, for reports, checks and gauges.

Each function is one statement in the caller's transaction.
"""
