"""The examples on the page about the rule: a loop, outputs, and what the commands print."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "pipelines" / "rule.md"


def _fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


[LOOP] = _fences("yaml")
TRIED, FILE = _fences("json")
PRINTED = _fences("text")
CHANGED = re.sub(r"trigger: \|\n(    .*\n)+", "trigger: model_confidence < 1\n", LOOP)
