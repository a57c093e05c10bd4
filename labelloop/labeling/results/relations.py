"""Relations: {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right", "labels": ["works for"]}.

See labelstud.io/tags/relations. A relation has no `from_name`; its ends are regions of the same result, by their ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling import results
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds import relations as kind
from labelloop.labeling.kinds.reading import json_of
from labelloop.reading import strict_json


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    """Return the regions that are related, and the relations."""
    regions = []
    for one in control.between:
        ends = [relation[end][1] for relation in kind.read(answer) for end in kind.ENDS if relation[end][0] == one.name]
        if ends:
            regions += results.regions_of(one, canonical(one, ends))
    return [*regions, *between(control, answer, regions)]


def between(control: ControlTag, answer: str, regions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the relations whose ends are among these regions of a result."""
    ids = {text: id_ for id_, text in _texts(control, regions).items()}
    found = []
    for relation in kind.read(answer):
        ends = [ids.get(strict_json.dumps(relation[end])) for end in kind.ENDS]
        if None not in ends:
            said = {"labels": relation["labels"]} if "labels" in relation else {}
            found.append(
                {"type": results.RELATION, "from_id": ends[0], "to_id": ends[1]}
                | {"direction": relation.get("direction", "right")}
                | said
            )
    return found


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the relations between regions of this result. Raises ValueError for one whose end is not there."""
    texts = _texts(control, regions)
    found = []
    for relation in (region for region in regions if region.get("type") == results.RELATION):
        ends = {}
        for end, id_ in zip(kind.ENDS, (relation.get("from_id"), relation.get("to_id")), strict=True):
            if not isinstance(id_, str) or id_ not in texts:
                raise ValueError(f"a relation is between two regions; there is no region {str(id_)[:40]!r}")
            ends[end] = json_of(texts[id_])
        said = {name: relation[name] for name in ("labels", "direction") if relation.get(name) is not None}
        found.append(ends | said)
    return kind.canonical(control, found)


def _texts(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the end of a relation as its text, [control, region], by the region's id."""
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for region in regions:
        if isinstance(id_ := region.get("id"), str) and region.get("type") != results.RELATION:
            by_id.setdefault(id_, []).append(region)
    found = {}
    for id_, group in by_id.items():
        for one in control.between:
            ours = [region for region in group if region.get("from_name") in one.names]
            answer = results.decoded(one, ours) if any(r.get("from_name") == one.name for r in ours) else None
            if answer is not None and (marked := json_of(answer)):
                found[id_] = strict_json.dumps([one.name, kind.bare(marked[0])])
                break
    return found
