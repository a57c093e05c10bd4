"""The record: its chain of seals, the check of both, and the stories that it tells."""
