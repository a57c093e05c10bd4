"""The hop that brings answers back from Label Studio."""
