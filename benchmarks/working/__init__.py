"""Benchmarks of what the workers do while people work: encoding, scoring, and a window that is renewed or chosen."""
