"""Answering: the hop that brings answers to and from pipelines."""
