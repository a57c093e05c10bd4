"""Entries of the record in words: a function for each table that is on record."""
