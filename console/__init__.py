"""What a person types: the commands, and what they start, examine and show."""
