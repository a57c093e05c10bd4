"""Marks: spans of an HTML page or a dialogue, and spans of a text with answers of their own. A JSON list of objects,
sorted, characters are code points, and the end is excluded.

Text        {"start":12,"end":20,"label":"person"}
HyperText   the same: characters of the page's text, which is all text nodes one after the other, blanks and line breaks
            between tags included, and one character for each <br>. So Label Studio counts its `globalOffsets`
Paragraphs  {"start":[0,12],"end":[0,20],"label":"person"}: the number of the paragraph, from 0, and the character in it

The place in the HTML (xpath) is not part of an answer: the editor finds it by the characters, and the same words must
be the same answer. Numbers of paragraphs are, since they hold for a dialogue that is behind an address too.

Similarity: the intersection over union in characters. If a mark goes through several paragraphs, each counts with one
character more than the largest offset of the two marks, for their lengths are not in the answer.

labelloop/labeling/kinds/marked.py says how marks are compared, and what people agree on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape
from statistics import median_low
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import marked
from labelloop.labeling.kinds.marked import Geometry, Region
from labelloop.labeling.kinds.pairing import Interval
from labelloop.reading import paths
from labelloop.reading.addresses import holds_address

PARAGRAPHS = "Paragraphs"
_ENDS = ("start", "end")
_TAG, _BREAK = re.compile("<[!/?a-zA-Z]"), re.compile(r"<br[\s/>]", re.IGNORECASE)
MOST = 1 << 31
"""Bound of a number of a character or a paragraph."""


def canonical(control: ControlTag, answer: object) -> str:
    return marked.canonical(geometry_of(control), control, answer)


def nearest(control: ControlTag, answer: str) -> str:
    return marked.nearest(geometry_of(control), control, answer)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    return marked.agreed(geometry_of(control), control, answers)


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return marked.score(geometry_of(control), answer, predicted)


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return marked.measures(geometry_of(control), answer, predicted)


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return marked.labels_in(geometry_of(control), answer)


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    marks = marked.read(geometry_of(control), answer)
    if control.over == PARAGRAPHS:
        if (texts := texts_of(control, data)) is not None:
            _fit_paragraphs(marks, texts)
        return
    length = _length(control, data)
    if length is not None and (ends := [mark["end"] for mark in marks]) and max(ends) > length:
        raise ValueError(f"a mark ends at {max(ends)}; the text has {length} characters")


def texts_of(control: ControlTag, data: Mapping[str, Any]) -> list[str] | None:
    """Return the texts of the paragraphs that the control is about; None if they are not in the data."""
    shown = _shown(control, data)
    if not isinstance(shown, list):
        return None
    key = control.over_attributes.get("textkey", "text")
    texts = [one.get(key) if isinstance(one, Mapping) else None for one in shown]
    return ["" if text is None else str(text) for text in texts]


def _fit_paragraphs(marks: Sequence[Region], texts: Sequence[str]) -> None:
    for mark in marks:
        for paragraph, offset in (mark["start"], mark["end"]):
            if paragraph >= len(texts):
                raise ValueError(f"a mark is in paragraph {paragraph}; there are {len(texts)}, counted from 0")
            if offset > len(texts[paragraph]):
                given = f"a mark reaches character {offset} of paragraph {paragraph}"
                raise ValueError(f"{given}, which has {len(texts[paragraph])} characters")


def _length(control: ControlTag, data: Mapping[str, Any]) -> int | None:
    """Return the number of characters of the text that people see; None if it is not in the data.

    For HTML it may be larger than that: the editor shows no scripts.
    """
    shown = _shown(control, data)
    if not isinstance(shown, str):
        return None
    if control.over != "HyperText":
        return len(shown)
    return _characters(shown)


def _characters(page: str) -> int:
    """Return the number of characters in text nodes, and one for each <br>.

    A comment, or a value of an attribute, that holds ">" counts from there on: it is never too few. A page may be
    damaged, and as large as an output; each of its characters is looked at once, which Python's own reader cannot say.
    """
    found = at = 0
    while (start := page.find("<", at)) >= 0:
        found += len(unescape(page[at:start]))
        if not _TAG.match(page, start):
            found, at = found + 1, start + 1
            continue
        end = page.find(">", start)
        if end < 0:
            return found + len(page) - start
        found, at = found + bool(_BREAK.match(page, start)), end + 1
    return found + len(unescape(page[at:]))


def _shown(control: ControlTag, data: Mapping[str, Any]) -> object:
    if not control.data_field or holds_address(control.over, control.over_attributes):
        return None
    if control.over_attributes.get("encoding", "none") != "none":
        return None
    return paths.value_at(data, control.data_field)


def geometry_of(control: ControlTag) -> Geometry:
    """Return how marks over this control's object are read and compared."""
    return _IN_PARAGRAPHS if control.over == PARAGRAPHS else IN_TEXT


def _read(region: Mapping[str, Any]) -> Region:
    match region:
        case {"start": start, "end": end, **more} if _is_place(start) and _is_place(end) and not more:
            if start < end:
                return {"start": start, "end": end}
            raise ValueError(f"a mark ends after it starts; one is from {start} to {end}")
    raise ValueError(f"a mark is an object such as {IN_TEXT.example}; one is {str(dict(region))[:80]}")


def _read_in_paragraphs(region: Mapping[str, Any]) -> Region:
    match region:
        case {"start": [number, first], "end": [until, last], **more} if not more:
            if all(map(_is_place, (number, first, until, last))):
                if (number, first) < (until, last):
                    return {"start": [number, first], "end": [until, last]}
                raise ValueError(f"a mark ends after it starts; one is from {[number, first]} to {[until, last]}")
    raise ValueError(f"a mark is an object such as {_IN_PARAGRAPHS.example}; one is {str(dict(region))[:80]}")


def _is_place(value: object) -> bool:
    return type(value) is int and 0 <= value < MOST


def _similarity(one: Region, other: Region) -> float:
    both = min(one["end"], other["end"]) - max(one["start"], other["start"])
    return both / (max(one["end"], other["end"]) - min(one["start"], other["start"])) if both > 0 else 0.0


def _similarity_in_paragraphs(one: Region, other: Region) -> float:
    length = 1 + max(mark[name][1] for mark in (one, other) for name in _ENDS)
    flat = ({name: mark[name][0] * length + mark[name][1] for name in _ENDS} for mark in (one, other))
    return _similarity(*flat)


def _middle(regions: Sequence[Region]) -> Region:
    """Return the median start and end; of two middle ones the first, which a person gave."""
    return {name: median_low([one[name] for one in regions]) for name in _ENDS}


def _interval(region: Region) -> Interval:
    return region["start"], region["end"]


def _interval_in_paragraphs(region: Region) -> Interval:
    start, end = (region[name][0] * MOST + region[name][1] for name in _ENDS)
    return start, end


IN_TEXT = Geometry(_read, _similarity, _middle, '{"start":12,"end":20,"label":"person"}', interval=_interval)
_IN_PARAGRAPHS = Geometry(
    _read_in_paragraphs,
    _similarity_in_paragraphs,
    _middle,
    '{"start":[0,12],"end":[0,20],"label":"person"}',
    interval=_interval_in_paragraphs,
)
