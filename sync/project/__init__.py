"""A loop's project in Label Studio."""
