"""Reports of estimates about a loop, each figure with its interval."""
