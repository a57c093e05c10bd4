"""Media: what was found at addresses, and the outputs that are held back for it."""
