"""The hop that takes outputs in."""
