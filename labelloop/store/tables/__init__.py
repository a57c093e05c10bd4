"""Statements about the tables, a file for each. A function does one thing in the caller's transaction."""
