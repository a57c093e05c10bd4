"""Make the learner that a loop's spec names, and find the field of the data that it reads.

The choice is made before: `complete` in labelloop/spec/loop.py, by the table in labelloop/spec/learners.py.
"""

from __future__ import annotations

from backend.learners import Learner, make
from labelloop.errors import Failed, LabelloopError, SettingsError, SpecError
from labelloop.spec.learners import AUTO, TEXT
from labelloop.spec.loop import LoopSpec


def learner_of(spec: LoopSpec) -> Learner:
    """Return the loop's learner, unfitted. Raises UsageError if the loop has none."""
    spec.require_learner()
    form = {"label_config": spec.labels_xml} if spec.learner.facts.takes_form else {}
    if form and spec.answer:
        form["answer"] = ",".join(spec.answer)
    return make(spec.learner.name, {"field": field_of(spec), **form, **spec.learner.params})


def check(spec: LoopSpec) -> None:
    """Raise SpecError if the loop's learner cannot be made."""
    if spec.without_learner is not None:
        return
    try:
        learner_of(spec)
    except (Failed, SpecError, SettingsError) as exc:
        raise SpecError(f"{exc}{_former_default(spec)}") from exc


def _former_default(spec: LoopSpec) -> str:
    """Return a hint if the parameters are those of the learner that was the default before `auto`; else ""."""
    if spec.learner.name != AUTO:
        return ""
    try:
        make(TEXT, {"field": field_of(spec), **spec.learner.params})
    except LabelloopError:
        return ""
    return f"; these are parameters of the former default: write name: {TEXT}"


def field_of(spec: LoopSpec) -> str:
    """Return the field of the data that the loop's learner reads. Raises Failed if there is none."""
    if (field := spec.field) is None:
        raise Failed(
            f"the labeling config of {spec.name} shows no field that its learner can read: name one in learner.field"
        )
    return field
