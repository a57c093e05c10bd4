"""Push: the hop that shows outputs to people in Label Studio."""
