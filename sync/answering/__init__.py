"""Answering: the way of answers back to the pipelines that wait for them."""
