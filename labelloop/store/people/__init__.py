"""Statements about the people who answer: who they are, how they work, and decisions about them."""
