"""Offsets in dialogues: the editor counts UTF-16 units there, and an answer counts characters (code points).

An emoji is two units and one character. Over Text and HyperText the editor itself counts characters. The data are
needed to convert: a dialogue behind an address keeps the editor's units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.kinds.marks import PARAGRAPHS, texts_of
from labelloop.labeling.results.values import values_of


def needed(config: LabelingConfig) -> bool:
    """Whether results of this form have offsets to convert."""
    return any(control.over == PARAGRAPHS for control in config.controls)


def in_characters(config: LabelingConfig, result: object, data: Mapping[str, Any] | None) -> Any:
    """Return a result of the editor with the offsets in dialogues in characters; any other value as it is."""
    return _converted(config, result, data, _characters) if isinstance(result, list) else result


def in_units(
    config: LabelingConfig, result: list[dict[str, Any]], data: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return an encoded answer with the offsets in dialogues in the editor's units."""
    return _converted(config, result, data, _units)


def _converted(
    config: LabelingConfig,
    result: list[Any],
    data: Mapping[str, Any] | None,
    convert: Callable[[str, int], int],
) -> list[Any]:
    controls = {control.name: control for control in config.controls if control.over == PARAGRAPHS}
    if data is None or not controls:
        return result
    texts = {name: texts_of(control, data) for name, control in controls.items()}
    return [
        _region(region, texts[name], convert)
        if isinstance(region, dict) and isinstance(name := region.get("from_name"), str) and name in texts
        else region
        for region in result
    ]


def _region(region: dict[str, Any], texts: Sequence[str] | None, convert: Callable[[str, int], int]) -> dict[str, Any]:
    value = dict(values_of([region])[0])
    for name in ("start", "end"):
        paragraph, offset = str(value.get(name)), value.get(f"{name}Offset")
        known = texts is not None and paragraph.isascii() and paragraph.isdigit() and int(paragraph[:9]) < len(texts)
        if texts is not None and known and type(offset) is int and offset >= 0:
            value[f"{name}Offset"] = convert(texts[int(paragraph[:9])], offset)
    return {**region, "value": value} if value else region


def _characters(text: str, units: int) -> int:
    """Return the characters of the first UTF-16 units; an offset beyond the text stays beyond it."""
    whole = text.encode("utf-16-le", "surrogatepass")
    beyond = max(0, units - len(whole) // 2)
    # An offset within a surrogate pair counts the whole character.
    return len(whole[: 2 * units].decode("utf-16-le", "replace")) + beyond


def _units(text: str, characters: int) -> int:
    beyond = max(0, characters - len(text))
    return len(text[:characters].encode("utf-16-le", "surrogatepass")) // 2 + beyond
