"""Read-only statements across tables; the caller owns the transaction."""
