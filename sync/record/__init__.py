"""The chain of the record: entries are sealed, and the newest seal is published outside of the database."""
