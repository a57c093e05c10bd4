"""Benchmarks of what the backend's worker does while people work: encoding, scoring, a window that is renewed or chosen."""
