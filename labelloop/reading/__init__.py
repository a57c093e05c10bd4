"""Values from outside, read strictly or refused by their path."""
