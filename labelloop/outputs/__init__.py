"""An output: what a pipeline's model said about one item."""
