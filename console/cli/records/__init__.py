"""Commands about a loop's records as a whole: keep, remove, forget."""
