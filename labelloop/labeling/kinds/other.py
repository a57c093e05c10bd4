"""An answer to a control that labelloop does not read: a JSON list of the `type` and `value` of its regions.

Each is kept as Label Studio wrote it. Ids and origins are left out, since they differ between people who answer alike.

Consensus: the answer that most gave exactly. The item score is 1 for the same answer, else 0.
"""

from __future__ import annotations

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import label
from labelloop.labeling.kinds.reading import kept, value_of

_KEPT = ("type", "value")


def canonical(control: ControlTag, answer: object) -> str:
    wanted = "must be a list of Label Studio's regions, each an object with type and value"
    found = value_of(answer, wanted)
    if not isinstance(found, list) or not found or not all(map(_is_region, found)):
        raise ValueError(wanted)
    return kept([{name: region[name] for name in _KEPT} for region in found])


def _is_region(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("type"), str) and isinstance(one.get("value"), dict)


def nearest(control: ControlTag, answer: str) -> str:
    return canonical(control, answer)


agreed = label.agreed
score = label.score
measures = label.measures
fits = label.fits


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return ()
