"""Marked: what the kinds share whose answers are lists of regions (regions, segments, marks, tracks). Pure.

Each region is an object with its geometry, its `label` (absent if it has none), and the answers about it alone under
`with`, by control name: {"box":[10,20,30,40],"label":"car","with":{"plate":"B 1"}}. A kind brings the geometry: how it
is read, how similar two of them are (0 to 1, such as the intersection over union), and the middle of several.

Two regions are the same if they have the same label and a similarity of at least SAME. Regions of two people are paired
so that the sum of the similarities is largest (labelloop/labeling/kinds/pairing.py).

Consensus: the regions that more than half of the people marked, each in the middle of theirs. It is a tie if exactly
half marked one, or if most marked something but no region is common to most. Agreement is the mean F1 with each
person's regions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds.pairing import Interval, Pair, Places, assigned, overlapping
from labelloop.labeling.kinds.reading import has, known, value_of
from labelloop.reading import strict_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SAME = 0.5
"""Smallest similarity of two regions that count as the same: as in PASCAL VOC (doi:10.1007/s11263-009-0275-4)."""
LABEL, WITH = "label", "with"
Region = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Functions of a kind about the geometry of its regions. A region is given without `label` and `with`."""

    read: Callable[[Mapping[str, Any]], Region]
    """Check the geometry and return it in its canonical form. Raises ValueError with the reason."""
    similarity: Callable[[Region, Region], float]
    """Return how similar two geometries are, 0 to 1; 1 for the same one."""
    middle: Callable[[Sequence[Region]], Region]
    """Return the middle of several geometries that are pairwise similar, such as the median of boxes."""
    example: str
    """A region as a message shows it."""
    table: Callable[[Sequence[Region], Sequence[Region], float], npt.NDArray[np.float64]] | None = None
    """Return `similarity` of each two regions at once, where that is faster; below the third argument it may be 0."""
    interval: Callable[[Region], Interval] | None = None
    """Return an open interval, where regions lie on a line: the similarity is below 1e-9 if two do not overlap."""


def read(geometry: Geometry, answer: object) -> list[Region]:
    """Return the regions as they are written. Raises ValueError if the answer is not a list of objects."""
    wanted = f"must be a list of objects, such as [{geometry.example}]"
    found = value_of(answer, wanted)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(wanted)
    return found


def write(regions: Sequence[Region]) -> str:
    """Return the canonical text: different regions, sorted by their texts."""
    return "[" + ",".join(sorted({strict_json.dumps(region) for region in regions})) + "]"


def canonical(geometry: Geometry, control: ControlTag, answer: object) -> str:
    return write([_checked(geometry, control, region) for region in read(geometry, answer)])


def nearest(geometry: Geometry, control: ControlTag, answer: str) -> str:
    """Return the answer without the regions whose labels the form does not have, and without answers to controls that
    are no longer there.
    """
    found = []
    for region in read(geometry, answer):
        if LABEL in region and not has(control, str(region[LABEL])):
            continue
        there = {part.name: part for part in control.beside}
        said = region.get(WITH)
        beside = {
            name: value
            for name, value in (said.items() if isinstance(said, dict) else ())
            if name in there and kinds.nearest_answer(there[name], kinds.as_text(value) or "") is not None
        }
        bare = {name: value for name, value in region.items() if name != WITH}
        found.append(_checked(geometry, control, bare | ({WITH: beside} if beside else {})))
    return write(found)


def _checked(geometry: Geometry, control: ControlTag, region: Mapping[str, Any]) -> Region:
    checked = geometry.read({name: value for name, value in region.items() if name not in (LABEL, WITH)})
    if LABEL in region or (control.labels and not control.shapes):  # Labels may be left out beside a shape
        label = region.get(LABEL)
        if not isinstance(label, str):
            raise ValueError(f"each region has a label, such as {geometry.example}; one is {str(region)[:80]}")
        checked[LABEL] = known(control, label)
    if beside := region.get(WITH):
        if not isinstance(beside, dict):
            raise ValueError(f"`with` is an object by control name; it is {str(beside)[:80]}")
        said = kinds.form.checked(control.beside, beside)
        return checked | ({WITH: said} if said else {})
    return checked


def paired(geometry: Geometry, one: Sequence[Region], other: Sequence[Region]) -> list[Pair]:
    """Return the pairs of equal regions: the same label, and a similarity of at least SAME."""
    similar = similarities(geometry, one, other, SAME).items()
    return assigned({(i, j): found for (i, j), found in similar if one[i].get(LABEL) == other[j].get(LABEL)})


def similarities(
    geometry: Geometry, one: Sequence[Region], other: Sequence[Region], least: float
) -> dict[Places, float]:
    """Return the similarity of two regions by their places, for those with at least `least`, which is above 0."""
    if not one or not other:
        return {}
    if geometry.table is not None:
        table = geometry.table(one, other, least)
        rows, columns = (table >= least).nonzero()
        return dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), table[rows, columns].tolist(), strict=True))
    if geometry.interval is None:
        places: Iterable[Places] = product(range(len(one)), range(len(other)))
    else:
        places = overlapping(*([geometry.interval(region) for region in regions] for regions in (one, other)))
    found = ((pair, geometry.similarity(one[pair[0]], other[pair[1]])) for pair in places)
    return {pair: similarity for pair, similarity in found if similarity >= least}


def agreed(geometry: Geometry, control: ControlTag, answers: Sequence[str]) -> tuple[str | None, float]:
    """Return the regions that most people marked, and the sum of each person's F1 with them."""
    people = [read(geometry, answer) for answer in sorted(answers)]
    groups: list[list[Region]] = []
    for regions in people:
        taken = {pair.other: pair.one for pair in paired(geometry, [group[0] for group in groups], regions)}
        for place, region in enumerate(regions):
            if place in taken:
                groups[taken[place]].append(region)
            else:
                groups.append([region])
    half = len(people) / 2
    found = [_middle(geometry, control, group) for group in groups if len(group) > half]
    tie = any(len(group) == half for group in groups)
    if tie or (not found and sum(not regions for regions in people) <= half):
        return None, 0.0
    answer = write(found)
    return answer, sum(_f1(geometry, found, regions) for regions in people)


def _middle(geometry: Geometry, control: ControlTag, group: Sequence[Region]) -> Region:
    bare = [{name: value for name, value in one.items() if name not in (LABEL, WITH)} for one in group]
    found = geometry.read(geometry.middle(bare))
    if LABEL in group[0]:
        found[LABEL] = group[0][LABEL]
    beside, _ = kinds.form.agreed_parts(control.beside, [one.get(WITH, {}) for one in group], None)
    return found | ({WITH: beside} if beside else {})


def score(geometry: Geometry, answer: str, predicted: str) -> float:
    """Return F1 of the regions that are the same."""
    return _f1(geometry, read(geometry, answer), read(geometry, predicted))


def measures(geometry: Geometry, answer: str, predicted: str) -> Mapping[str, float]:
    """Return the mean similarity, `mean_iou`: a region without a partner counts as 0. Two empty answers have 1."""
    one, other = read(geometry, answer), read(geometry, predicted)
    pairs = paired(geometry, one, other)
    regions = len(one) + len(other) - len(pairs)
    return {"mean_iou": sum(pair.similarity for pair in pairs) / regions if regions else 1.0}


def labels_in(geometry: Geometry, answer: str) -> tuple[str, ...]:
    return tuple(sorted({str(region[LABEL]) for region in read(geometry, answer) if LABEL in region}))


def _f1(geometry: Geometry, one: Sequence[Region], other: Sequence[Region]) -> float:
    return 2 * len(paired(geometry, one, other)) / (len(one) + len(other)) if one or other else 1.0
