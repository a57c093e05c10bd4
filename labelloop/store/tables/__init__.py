"""The statements of one table a file; the caller owns the transaction."""
