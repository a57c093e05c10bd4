"""Statements about callbacks and their deliveries. The caller owns the transaction."""
