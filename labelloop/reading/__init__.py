"""Read values from outside strictly. A value that does not fit is refused with its path."""
