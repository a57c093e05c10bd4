"""Intake: the hop that takes outputs in."""
