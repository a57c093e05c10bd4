"""What is known of loops, runs and versions: dicts of JSON's own types, cards and exports."""
