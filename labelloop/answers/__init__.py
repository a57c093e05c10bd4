"""What people answered, and what their answers agree on."""
