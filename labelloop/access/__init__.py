"""Access control: credentials of callers."""
