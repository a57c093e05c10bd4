"""Statements about alerts. The caller owns the transaction."""
