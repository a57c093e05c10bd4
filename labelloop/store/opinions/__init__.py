"""Statements about the opinions of several people: estimates of their quality, and who is asked further."""
