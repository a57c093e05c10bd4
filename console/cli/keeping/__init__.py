"""Commands that keep data, remove it or forget it."""
