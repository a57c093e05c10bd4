"""Trust in the answers of each person: measures with their intervals, and flags."""
