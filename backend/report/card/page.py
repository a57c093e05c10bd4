"""A model card as one page of HTML that loads nothing: no script, no font and no picture."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def card_html(card: Mapping[str, Any]) -> str:
    """Return the page of a card made by `backend.report.card.card`."""
    return _TEMPLATES.get_template("card.html").render(card=card, **card)


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.1f} %"


def _points(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:+.1f} points"


def _interval(found: Mapping[str, Any] | None, of: str = "accuracy") -> str:
    """Format a figure with its 95 % confidence interval. `of`: "accuracy" (a share) or "value" (a difference)."""
    if not found or found.get(of) is None:
        return "not measured"
    shown = _percent(found[of]) if of == "accuracy" else _points(found[of])
    if found.get("low") is None or found.get("high") is None:
        return shown
    sign = "" if of == "accuracy" else "+"
    return f"{shown} (95 % CI {100 * found['low']:{sign}.1f} to {100 * found['high']:{sign}.1f})"


def _time(at: str | None) -> str:
    return "not on record" if at is None else f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M} UTC"


_TEMPLATES.filters |= {"percent": _percent, "points": _points, "interval": _interval, "time": _time}
