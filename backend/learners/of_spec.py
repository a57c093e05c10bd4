"""Make the learner that a loop's spec names, and find the field of the data that it reads.

The choice is made before: `complete` in labelloop/spec/loop.py, by the table in labelloop/spec/learners.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.learners import Learner, make
from labelloop.errors import Failed, LabelloopError, SettingsError, SpecError
from labelloop.spec.learners import AUTO, TEXT
from labelloop.spec.loop import LoopSpec

RECIPE_READS: Mapping[str, Sequence[str]] = {
    "both": ("C", "words", "sharpness", "shares"),
    "sentences": ("C", "sharpness", "shares"),
    "words": ("C", "sharpness", "shares"),
    "bayes": (),
}
"""The parameters that each recipe of the learner `auto` uses."""


def learner_of(spec: LoopSpec) -> Learner:
    """Return the loop's learner, unfitted. Raises UsageError if the loop has none."""
    spec.require_learner()
    form = {"label_config": spec.labels_xml} if spec.learner.facts.takes_form else {}
    if form and spec.answer:
        form["answer"] = ",".join(spec.answer)
    # A version of before has no `colour` among its parameters, and keeps to the grey that it was trained on.
    colour = {"colour": True} if spec.learner.reads_colour else {}
    return make(spec.learner.name, {"field": field_of(spec), **form, **spec.learner.params, **colour})


def check(spec: LoopSpec) -> None:
    """Raise SpecError if the loop's learner cannot be made."""
    if spec.without_learner is not None:
        return
    try:
        learner_of(spec)
        _check_recipe(spec)
    except (Failed, SpecError, SettingsError) as exc:
        raise SpecError(f"{exc}{_former_default(spec)}") from exc


def _check_recipe(spec: LoopSpec) -> None:
    """Raise SpecError if the recipe of `auto` does not read a parameter that is set."""
    if spec.learner.name != AUTO:
        return
    recipe = spec.learner.params.get("recipe")
    read = RECIPE_READS.get(str(recipe), ())
    for name in sorted({name for names in RECIPE_READS.values() for name in names} & set(spec.learner.params)):
        if not recipe:
            able = ", ".join(one for one, names in RECIPE_READS.items() if name in names)
            raise SpecError(
                f"learner.params.{name}: without a recipe each run chooses {name} itself: add `recipe` ({able}), or "
                f"leave {name} out"
            )
        if name not in read:
            takes = f"it takes {', '.join(read)}" if read else "it takes no other parameter"
            raise SpecError(f"learner.params.{name}: the recipe {recipe} does not use {name}; {takes}")


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
