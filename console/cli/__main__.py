"""`python -m console.cli`, where the script is not installed."""

from __future__ import annotations

from console.cli import main

main()
