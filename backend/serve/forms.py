"""Forms: check whether a loop's model can answer in Label Studio's labeling config, and describe the differences.

Label Studio sends the project's config with every /setup and /predict; the loop's config is in Postgres. Any member of
the project may edit its config. Label Studio stores a prediction that does not fit the config, but shows it to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag

LABELS_NAMED = 10
"""Labels that a sentence names; if there are more, it gives their number."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Differences between a form and a model."""

    faults: tuple[str, ...] = ()
    """Parts that the model needs and the form lacks: no prediction could be shown correctly."""
    unseen: tuple[str, ...] = ()
    """Labels of the form that the model was never trained on: it never predicts them."""


def fit(xml: str, loop: LabelingConfig, field: str | None, classes: Collection[str]) -> Fit:
    """Compare the form in `xml` with the loop's own form, in which the model answers.

    `field`: field of the data that the model reads and the form must show; None if there is none.
    `classes`: the labels that the model may predict, empty if they are not known ahead.
    """
    try:
        form = LabelingConfig.parse(xml)
    except SpecError as exc:
        return Fit((f"it cannot be read: {exc}",))
    except RecursionError:
        return Fit(("it cannot be read: its choices are nested too deeply",))
    there = {control.name: control for control in form.controls}
    faults = []
    wanted = [loop.verdict, *(loop.answer.parts or [loop.answer])]
    for control in {c.name: c for c in wanted if c is not None and not c.between}.values():
        faults += _of_control(control, there)
    if field is not None and field in loop.data_fields and field not in form.data_fields:
        faults.append(f"it does not show the field {field!r}, which the model reads; {_there(form.data_fields)}")
    more, unseen = _of_labels(loop, there.get(loop.answer.name), classes)
    return Fit((*faults, *more), unseen)


def _of_labels(
    loop: LabelingConfig, answer: ControlTag | None, classes: Collection[str]
) -> tuple[list[str], tuple[str, ...]]:
    """Return the faults of the form's labels, and its labels that the model was never trained on."""
    # A label that the loop's form no longer has is never shown. Classes of a structured answer may not be labels.
    now = {loop.answer.today(label) for label in classes}
    known = {answer.shown(label) for label in now if label in loop.answer.labels} if answer else set()
    if answer is None or not answer.labels or not known:
        return [], ()
    missing = [label for label in known if label not in answer.labels]
    unseen = tuple(label for label in answer.labels if label not in known)
    if not missing:
        return [], unseen
    more = f"; it has {named(unseen)}, which the model was never trained on" if unseen else ""
    return [f"{answer.name!r} lacks {named(sorted(missing))}, which the model predicts{more}"], unseen


def _of_control(wanted: ControlTag, there: dict[str, ControlTag]) -> list[str]:
    found = there.get(wanted.name)
    if found is None:
        return [f"it has no {wanted.tag} named {wanted.name!r}; {_there(there)}"]
    if found.tag != wanted.tag:
        return [f"{wanted.name!r} is a {found.tag}, the model answers in a {wanted.tag}"]
    faults = []
    faults += [
        f"it has no {part.tag} named {part.name!r}, which goes with {wanted.name!r}"
        for part in (*wanted.shapes, *wanted.beside)
        if part.name not in there
    ]
    if found.to_name != wanted.to_name:
        faults.append(f"{wanted.name!r} is about {found.to_name!r}, the model answers about {wanted.to_name!r}")
    if wanted.choice.startswith("multiple") and not found.choice.startswith("multiple"):
        faults.append(f"{wanted.name!r} takes one choice, the model predicts several")
    return faults


def _there(names: Collection[str]) -> str:
    return f"there are: {', '.join(names) or 'none'}"


def named(labels: Sequence[str]) -> str:
    """Return the labels as a text; their number and the first three if they are many."""
    if len(labels) > LABELS_NAMED:
        return f"{len(labels)} labels ({', '.join(map(repr, labels[:3]))}, ...)"
    return ", ".join(map(repr, labels))
