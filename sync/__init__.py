"""The sync service: it takes outputs in, pushes tasks to Label Studio, and pulls answers back."""
