"""Pull: the hop that brings answers back from Label Studio."""
