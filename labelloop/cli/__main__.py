"""`python -m labelloop.cli`, where the script is not installed."""

from __future__ import annotations

from labelloop.cli import main

main()
