"""Adoption: make a loop of a project that people made in Label Studio, and give the project back."""
