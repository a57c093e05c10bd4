"""The templates that the installed Label Studio ships, by their folders: read as files, not by our own code."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from console.local import environment

ENTERPRISE_ONLY = ("Chat", "OcrLabels")
"""Tags in these templates that only the editor of the Enterprise edition shows."""


@cache
def templates() -> dict[str, str]:
    """The form by the name of its folder; empty if Label Studio is not installed."""
    python = environment.find_python()
    if python is None:
        return {}
    found = sorted(
        Path(python).parents[1].glob("lib/python*/site-packages/label_studio/annotation_templates/*/*/config.yml")
    )
    return {file.parent.name: yaml.safe_load(file.read_text(encoding="utf-8"))["config"] for file in found}
