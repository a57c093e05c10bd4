"""Keep the answer of a loop that is registered again: answers of one control are not read as those of several. Pure."""

from __future__ import annotations

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.spec.loop import LoopSpec


def keep_answer(known: LoopSpec | None, spec: LoopSpec, *, answered: bool) -> LoopSpec:
    """Return the spec with the answer that the registered loop `known` has, if loop.yaml does not name another.

    `answered`: whether the loop has answers or outputs with labels. Raises SpecError if it has, and loop.yaml names
    controls by which they could not be read.
    """
    if known is None:
        return spec
    before, now = known.config.answer, spec.config.answer
    if _names(before) == _names(now) and before.beside == now.beside:
        return spec
    if spec.answer_is_filled_in:
        for answer in (known.answer, _names(before)):
            kept = _with(spec, answer)
            if kept is not None and _is_same(kept.config.answer, before):
                return kept
    if not answered or _stays_readable(before, now):
        return spec
    names = _names(before)
    written = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    raise SpecError(
        f"answer: the loop has answers, and they are to {before.words}: `answer: {written}` keeps them. For an answer "
        f"to {now.words} make a loop with another name",
        loop=spec.name,
    )


def _stays_readable(before: ControlTag, now: ControlTag) -> bool:
    """Whether answers of one shape stay so: to one control as ever, or to several of which none is taken away."""
    if Kind.FORM in (before.kind, now.kind):
        return before.kind is now.kind and set(_names(before)) <= set(_names(now))
    return before.kind is now.kind or before.beside == now.beside


def _names(control: ControlTag) -> tuple[str, ...]:
    return tuple(part.name for part in control.parts or (control,))


def _is_same(one: ControlTag, other: ControlTag) -> bool:
    return _names(one) == _names(other) and one.kind is other.kind


def _with(spec: LoopSpec, answer: tuple[str, ...]) -> LoopSpec | None:
    """Return the spec with another answer and its labels; None if the form has no such answer."""
    try:
        labels = LabelingConfig.parse(spec.labels_xml, answer).labels
    except SpecError:
        return None
    return spec.model_copy(update={"answer": answer, "labels": labels or spec.labels})
