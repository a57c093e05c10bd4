"""Changes: what a person changed in the answer that was shown, region by region, label by label, word by word. Pure.

An answer of regions is compared by pairs: of regions that overlap, those with the same label first, so that the sum of
the similarities is largest (labelloop/labeling/kinds/pairing.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from labelloop.labeling import kinds
from labelloop.labeling.controls import MARKING, ControlTag, Kind
from labelloop.labeling.kinds.marked import LABEL, SAME, WITH, Geometry, similarities
from labelloop.labeling.kinds.pairing import assigned
from labelloop.labeling.kinds.reading import json_of

ANY = 1e-9
"""Smallest similarity of a region with the same label that counts as moved."""
MOST_WORDS = 2_000
"""Number of words of a text up to which the changed words are found."""
REJECTED = "(rejected)"
"""Answer of a person who rejects the shown answer and names no other."""


class What(StrEnum):
    """Fate of one part of the shown answer."""

    KEPT = "kept"
    MOVED = "moved"
    """A region with the same label that overlaps the shown one."""
    RELABELLED = "relabelled"
    """Another label: of the item, or of a region that lies where the shown one was."""
    EDITED = "edited"
    """Another text, number, order or date; or another answer about the same region."""
    ADDED = "added"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    control: str
    what: What
    shown: str | None = None
    """The label that was shown; "" for a part without labels, None for one that a person added."""
    given: str | None = None
    """The label that the person gave; "" for a part without labels, None for one that was deleted."""
    words: tuple[tuple[str, str], ...] = ()
    """Changed words of an edited text: those that were shown, and those in their place; "" for none."""


def changes(control: ControlTag, shown: str | None, given: str | None) -> list[Change]:
    """Return the fate of each part of the shown answer, and the added parts. Both are as tables hold them.

    None means no answer. Answers that cannot be read as this control's count as a whole.
    """
    if control.kind is Kind.FORM:
        return _of_form(control, shown, given)
    try:
        return list(_changes(control, shown, given))
    except (AttributeError, LookupError, TypeError, ValueError):
        return [Change(control.name, What.KEPT if shown == given else What.EDITED, "", "")]


def _of_form(control: ControlTag, shown: str | None, given: str | None) -> list[Change]:
    found = []
    for part in control.parts:
        parts = [None if answer is None else kinds.form.part_of(part, answer) for answer in (shown, given)]
        if parts != [None, None]:
            found += changes(part, *parts)
    return found


def _changes(control: ControlTag, shown: str | None, given: str | None) -> Iterator[Change]:
    name, kind = control.name, control.kind
    if kind in MARKING:
        yield from _of_regions(control, *([] if one is None else _regions(control, one) for one in (shown, given)))
    elif kind is Kind.LABELS:
        was, now = (set() if one is None else set(kinds.labels.read_labels(one)) for one in (shown, given))
        for label in sorted(was | now):
            what = What.KEPT if label in was & now else What.DELETED if label in was else What.ADDED
            yield Change(name, what, label if label in was else None, label if label in now else None)
    elif kind is Kind.LABEL:
        if shown is None:
            yield Change(name, What.ADDED, None, given)
        elif shown == given:
            yield Change(name, What.KEPT, shown, given)
        else:
            yield Change(name, What.RELABELLED, shown, REJECTED if given is None else given)
    elif shown is None or given is None:
        yield Change(name, What.ADDED, None, "") if shown is None else Change(name, What.DELETED, "", None)
    elif shown == given:
        yield Change(name, What.KEPT, "", "")
    else:
        words = changed_words(shown, given) if kind is Kind.TEXT else []
        yield Change(name, What.EDITED, "", "", tuple(words))


def changed_words(shown: str, given: str) -> list[tuple[str, str]]:
    """Return each run of changed words: as it was shown, and as it is now. Words are what stands between blanks.

    It is empty if one of the texts has more than MOST_WORDS words.
    """
    was, now = shown.split(), given.split()
    if max(len(was), len(now)) > MOST_WORDS:
        return []
    steps = SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    return [(" ".join(was[a:b]), " ".join(now[c:d])) for tag, a, b, c, d in steps if tag != "equal"]


Region = Mapping[str, Any]


def _regions(control: ControlTag, answer: str) -> list[Region]:
    if control.kind is Kind.SPANS:
        return [{"start": one.start, "end": one.end, LABEL: one.label} for one in kinds.spans.read_spans(answer)]
    found = json_of(answer)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("must be a list of objects")
    return found


def _of_regions(control: ControlTag, shown: Sequence[Region], given: Sequence[Region]) -> Iterator[Change]:
    pairs = _paired(_geometry_of(control), shown, given)
    for i, one in enumerate(shown):
        label = _label(one)
        if i not in pairs:
            yield Change(control.name, What.DELETED, label, None)
            continue
        other = given[pairs[i]]
        if label != _label(other):
            what = What.RELABELLED
        elif _bare(one) != _bare(other):
            what = What.MOVED
        else:
            what = What.KEPT if one.get(WITH) == other.get(WITH) else What.EDITED
        yield Change(control.name, what, label, _label(other))
    taken = set(pairs.values())
    for i, other in enumerate(given):
        if i not in taken:
            yield Change(control.name, What.ADDED, None, _label(other))


def _paired(geometry: Geometry, shown: Sequence[Region], given: Sequence[Region]) -> dict[int, int]:
    """Return the place in `given` of each shown region that is still there. Equal regions need no comparison."""
    pairs: dict[int, int] = {}
    places: dict[str, list[int]] = {}
    for j, other in enumerate(given):
        places.setdefault(repr(sorted(other.items())), []).append(j)
    for i, one in enumerate(shown):
        if same := places.get(repr(sorted(one.items()))):
            pairs[i] = same.pop(0)
    rest = [i for i in range(len(shown)) if i not in pairs]
    others = sorted(set(range(len(given))) - set(pairs.values()))
    ones, twos = [_bare(shown[i]) for i in rest], [_bare(given[j]) for j in others]
    weights = {}
    for (i, j), found in similarities(geometry, ones, twos, ANY).items():
        if _label(shown[rest[i]]) == _label(given[others[j]]):
            weights[i, j] = 1.0 + found  # any overlap does
        elif found >= SAME:
            weights[i, j] = found
    return pairs | {rest[pair.one]: others[pair.other] for pair in assigned(weights)}


def _geometry_of(control: ControlTag) -> Geometry:
    geometry = kinds.marks.IN_TEXT if control.kind is Kind.SPANS else kinds.geometry_of(control)
    if geometry is None:
        raise ValueError(f"{control.words} has no regions")
    return geometry


def _label(region: Region) -> str:
    return str(region.get(LABEL, ""))


def _bare(region: Region) -> dict[str, Any]:
    return {name: value for name, value in region.items() if name not in (LABEL, WITH)}
