"""A model card as one page of HTML that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
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
    """The page of what `backend.card.card` made."""
    return _TEMPLATES.get_template("card.html").render(card=card, **card)


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.1f} %"


def _points(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:+.1f} points"


def _interval(found: Mapping[str, Any] | None, of: str = "accuracy") -> str:
    """A figure with its 95 % interval: `of` accuracy (a share) or value (a difference)."""
    shown = _percent if of == "accuracy" else _points
    if not found or found.get(of) is None:
        return "not measured"
    if found.get("low") is None or found.get("high") is None:
        return shown(found[of])
    return f"{shown(found[of])} ({shown(found['low'])} to {shown(found['high'])})"


_TEMPLATES.filters |= {"percent": _percent, "points": _points, "interval": _interval}
