"""Templates of Label Studio: the forms that it ships, as loops."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from console.local import environment
from labelloop.errors import UsageError

_FOLDER = "lib/python*/site-packages/label_studio/annotation_templates"
_LISTS = ("Choices", "Labels")


def installed() -> dict[str, str]:
    """Return the form of each template of the Label Studio on this machine, by name; empty if there is none."""
    python = environment.find_python()
    if python is None:
        return {}
    files = sorted(Path(python).parents[1].glob(f"{_FOLDER}/*/*/config.yml"))
    return _by_name([yaml.safe_load(file.read_text(encoding="utf-8")) for file in files])


def listed(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the form of each template in an answer of Label Studio's API (GET /api/templates), by name."""
    return _by_name(answer["templates"])


def _by_name(templates: list[dict[str, Any]]) -> dict[str, str]:
    return {name_of(one["title"]): one["config"] for one in templates if one.get("config")}


def name_of(title: str) -> str:
    """Return the name of a template from its title: letters and digits in lower case, joined by dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


def form_of(name: str, templates: Mapping[str, str]) -> str:
    """Return the form of a template. Raises UsageError with the nearest name if there is none."""
    if name_of(name) not in templates:
        near = difflib.get_close_matches(name_of(name), templates, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"Label Studio has no template {name!r}; {hint}there are: {', '.join(sorted(templates))}")
    return mended(templates[name_of(name)])


def mended(xml: str) -> str:
    """Return a template's form in which no control has a label twice: the second one gets a number.

    One template of Label Studio 1.23.2 names two of its choices alike, so that nobody could tell the answers apart.
    """
    for tag in _LISTS:
        xml = re.sub(rf"<{tag}\b[^>]*(?<!/)>.*?</{tag}>", _told_apart, xml, flags=re.DOTALL)
    return xml


def _told_apart(control: re.Match[str]) -> str:
    if 'allowNested="true"' in control[0]:
        return control[0]  # the same step may be below several others
    seen: dict[str, int] = {}

    def numbered(choice: re.Match[str]) -> str:
        seen[choice[2]] = seen.get(choice[2], 0) + 1
        return choice[0] if seen[choice[2]] == 1 else f"{choice[1]}{choice[2]} ({seen[choice[2]]}){choice[3]}"

    return re.sub(r'(<(?:Choice|Label)\b[^>]*?\bvalue=")([^"]*)(")', numbered, control[0])
