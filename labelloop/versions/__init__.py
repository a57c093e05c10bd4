"""Model versions, and the runs that made them."""
