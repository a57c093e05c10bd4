"""Outputs: predictions of a pipeline's model, each about one item."""
