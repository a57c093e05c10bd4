"""Fitted models, and the runs that made them."""
