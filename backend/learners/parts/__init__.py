"""What learners are built from."""
