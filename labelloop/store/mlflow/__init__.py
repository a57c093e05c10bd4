"""Statements about what MLflow does not have yet: runs and promotions, and answers on traces."""
