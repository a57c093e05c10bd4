"""Pictures behind an address: fetched where the loop and the settings allow it, and kept as learners see them."""
