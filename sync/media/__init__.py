"""Media: look at what the next outputs show, and hold back those that no browser can read."""
