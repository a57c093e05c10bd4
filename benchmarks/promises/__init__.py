"""Measurements of how often each figure and each decision is wrong; docs/promises.md has the results."""
