"""Building blocks of learners."""
