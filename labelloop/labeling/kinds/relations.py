"""Relations between regions: a JSON list of objects, sorted.

{"from":["ner",[0,4,"person"]],"to":["ner",[14,19,"firm"]],"labels":["works for"],"direction":"left"}

Each end is the name of the control that marked the region, and the region. The region is as the answer to that control
has it, without `with`. Label Studio's own ids are random, so they are not used. `labels` is absent without labels.
`direction` is left, right or bi; right, the usual one, is absent.

Consensus: each relation that more than half of the people drew, exactly. In an answer to several controls, the ends are
first replaced by the regions that people agree on: the same one, or the most similar one of the same label. Agreement
and item score are F1 of the relations that are the same.

An answer to several controls has both regions of each of its relations: any other relation is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import label
from labelloop.labeling.kinds.reading import has, json_of, known, value_of
from labelloop.labeling.kinds.sets import f1, given_by_most
from labelloop.reading import strict_json

DIRECTIONS = ("left", "right", "bi")
ENDS = ("from", "to")
_EXAMPLE = '{"from":["ner",[0,4,"person"]],"to":["ner",[14,19,"firm"]],"labels":["works for"]}'


def read(answer: object) -> list[dict[str, Any]]:
    """Return the relations as they are written. Raises ValueError if the answer is not a list of objects."""
    wanted = f"must be a list of objects, such as [{_EXAMPLE}]"
    found = value_of(answer, wanted)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(wanted)
    return found


def write(relations: Sequence[Mapping[str, Any]]) -> str:
    """Return the canonical text: different relations, sorted by their texts."""
    return "[" + ",".join(sorted({strict_json.dumps(one) for one in relations})) + "]"


def canonical(control: ControlTag, answer: object) -> str:
    return write([_checked(control, relation) for relation in read(answer)])


def nearest(control: ControlTag, answer: str) -> str:
    """Return the answer without labels that the form does not have, and without relations whose ends it cannot have."""
    found = []
    for relation in read(answer):
        given = relation.get("labels")
        labels = [one for one in given if has(control, str(one))] if isinstance(given, list) else given
        try:
            found.append(_checked(control, {**relation, "labels": labels}))
        except ValueError:
            continue
    return write(found)


def _checked(control: ControlTag, relation: Mapping[str, Any]) -> dict[str, Any]:
    ends = {end: _end(control, relation.get(end)) for end in ENDS}
    labels, direction = relation.get("labels") or [], relation.get("direction", "right")
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        raise ValueError(f"labels of a relation are a list of texts; they are {str(labels)[:80]}")
    if direction not in DIRECTIONS:
        raise ValueError(f"direction of a relation is one of {', '.join(DIRECTIONS)}; it is {str(direction)[:40]!r}")
    if more := relation.keys() - {*ENDS, "labels", "direction"}:
        raise ValueError(f"a relation has from, to, labels and direction; one has {min(more)[:40]!r}")
    named = sorted({known(control, one) for one in labels})
    return ends | ({"labels": named} if named else {}) | ({} if direction == "right" else {"direction": direction})


def _end(control: ControlTag, end: object) -> list[Any]:
    there = {one.name: one for one in control.between}
    match end:
        case [str(name), region] if name in there:
            [only] = json_of(kinds.canonical(there[name], [bare(region)]))
            return [name, only]
    names = " or ".join(there) or "a control that marks regions"
    raise ValueError(f"an end of a relation is [control, region] of {names}; one is {str(end)[:80]}")


def bare(region: Any) -> Any:
    """Return a region of an answer without its `with`."""
    return {name: value for name, value in region.items() if name != "with"} if isinstance(region, dict) else region


def lost_ends(
    relations: Sequence[Mapping[str, Any]], answers: Mapping[str, Any], names: Collection[str]
) -> list[str | None]:
    """Return for each relation an end that is no region of these answers, as a text; None if both are there.

    `answers` are canonical, by control name. Only ends at the controls in `names` are looked for.
    """
    ends = [[relation[end] for end in ENDS] for relation in relations]
    marking = {name for pair in ends for name, _ in pair if name in names}
    there = {strict_json.dumps([name, bare(one)]) for name in marking for one in answers.get(name) or ()}
    texts = [[strict_json.dumps(end) for end in pair if end[0] in marking] for pair in ends]
    return [next((text for text in pair if text not in there), None) for pair in texts]


def moved(control: ControlTag, person: Mapping[str, Any], agreed_on: Mapping[str, Any]) -> str:
    """Return one person's relations with the regions that people agree on as their ends.

    `person` and `agreed_on` are answers by control name. A relation with an end on which people do not agree keeps it.
    """
    found = []
    for relation in read(person.get(control.name) or []):
        ends = {end: [relation[end][0], _agreed_region(control, relation[end], agreed_on)] for end in ENDS}
        found.append({**relation, **ends})
    return write(found)


def _agreed_region(control: ControlTag, end: Sequence[Any], agreed_on: Mapping[str, Any]) -> Any:
    name, region = end
    there = [bare(one) for one in agreed_on.get(name) or ()]
    if region in there:
        return region
    marking = next(one for one in control.between if one.name == name)
    geometry = kinds.geometry_of(marking)
    pairs = [] if geometry is None else kinds.marked.paired(geometry, [region], there)
    return there[pairs[0].other] if pairs else region


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    drawn = [[strict_json.dumps(one) for one in read(answer)] for answer in answers]
    common = given_by_most(drawn)
    if common is None:
        return None, 0.0
    return "[" + ",".join(sorted(common)) + "]", sum(f1(common, one) for one in drawn)


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return f1(*([strict_json.dumps(one) for one in read(text)] for text in (answer, predicted)))


measures = label.measures
fits = label.fits


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return tuple(sorted({one for relation in read(answer) for one in relation.get("labels", ())}))
