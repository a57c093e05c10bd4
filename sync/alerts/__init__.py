"""Alerts: find what people did in Label Studio to the work of others, and carry out the decisions about it."""
