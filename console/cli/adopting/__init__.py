"""The commands about projects that people made in Label Studio."""
