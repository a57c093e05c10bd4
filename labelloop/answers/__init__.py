"""People's answers, and the answer that they agree on."""
