"""The scoring hop: labels of the champion and utilities of the newest version for waiting outputs."""
