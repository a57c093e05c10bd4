"""Promises: statements about certificates, the tests they rest on, and the outputs that passed unseen by them."""
