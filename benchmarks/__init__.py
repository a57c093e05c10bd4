"""Benchmarks: what labelloop costs, as ratios against a peer or a limit that is measured beside it in the same run."""
