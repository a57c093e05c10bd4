"""How far the answers of each person can be trusted: measures with their intervals, and flags."""
