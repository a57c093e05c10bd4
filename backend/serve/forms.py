"""Forms: whether Label Studio's labeling config is one that a loop's model can answer in; what differs, in words.

Label Studio sends the project's config with every /setup and /predict; ours is in Postgres. Any member may edit it
there, and a prediction that it has no place for is stored all the same, and shown to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag

NAMED = 10
"""Labels that are named in a sentence; of more their number."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a form fits a model."""

    faults: tuple[str, ...] = ()
    """What the model needs and the form has not: no prediction would be right."""
    unseen: tuple[str, ...] = ()
    """Labels of the form that the model was never taught: it cannot say them, and says the others."""


def fit(xml: str, loop: LabelingConfig, field: str | None, says: Collection[str]) -> Fit:
    """How the form in `xml` fits a model that answers by the loop's own form.

    `field`: of the data, what the model reads; None: nothing that the form must show. `says`: the labels that the model
    may say; empty where they are not known ahead.
    """
    try:
        form = LabelingConfig.parse(xml)
    except SpecError as exc:
        return Fit((f"it cannot be read: {exc}",))
    except RecursionError:
        return Fit(("it cannot be read: its choices are nested too deeply",))
    there = {control.name: control for control in form.controls}
    faults = []
    for control in {c.name: c for c in (loop.verdict, loop.answer) if c is not None}.values():
        faults += _of_control(control, there)
    if field is not None and field in loop.data_fields and field not in form.data_fields:
        faults.append(f"it does not show the field {field!r}, which the model reads; {_there(form.data_fields)}")
    answer = there.get(loop.answer.name)
    # What the loop's own form has no more is never shown; of structured answers the classes may be no labels at all.
    known = {answer.shown(label) for label in says if label in loop.answer.labels} if answer else set()
    if answer is None or not answer.labels or not known:
        return Fit(tuple(faults))
    missing = [label for label in known if label not in answer.labels]
    unseen = tuple(label for label in answer.labels if label not in known)
    if missing:
        more = f"; it has {named(unseen)}, which the model was never taught" if unseen else ""
        faults.append(f"{answer.name!r} lacks {named(sorted(missing))}, which the model says{more}")
    return Fit(tuple(faults), unseen)


def _of_control(wanted: ControlTag, there: dict[str, ControlTag]) -> list[str]:
    found = there.get(wanted.name)
    if found is None:
        return [f"it has no {wanted.tag} named {wanted.name!r}; {_there(there)}"]
    if found.tag != wanted.tag:
        return [f"{wanted.name!r} is a {found.tag}, the model answers in a {wanted.tag}"]
    faults = []
    if found.to_name != wanted.to_name:
        faults.append(f"{wanted.name!r} is about {found.to_name!r}, the model answers about {wanted.to_name!r}")
    if wanted.choice.startswith("multiple") and not found.choice.startswith("multiple"):
        faults.append(f"{wanted.name!r} takes one choice, the model says several")
    return faults


def _there(names: Collection[str]) -> str:
    return f"there are: {', '.join(names) or 'none'}"


def named(labels: Sequence[str]) -> str:
    """The labels, or how many they are."""
    if len(labels) > NAMED:
        return f"{len(labels)} labels ({', '.join(map(repr, labels[:3]))}, ...)"
    return ", ".join(map(repr, labels))
