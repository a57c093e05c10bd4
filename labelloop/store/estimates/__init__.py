"""Statements behind estimates: read-only, each about answers that chance chose."""
