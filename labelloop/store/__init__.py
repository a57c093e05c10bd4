"""Postgres: plain functions on a connection, one statement each; the caller owns the transaction."""
