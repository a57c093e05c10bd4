"""Learners that read texts."""
