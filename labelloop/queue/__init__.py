"""What is shown to people, in what order, and the reason each task gives."""
