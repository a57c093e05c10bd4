"""A loop of photos behind addresses, each dark or light."""

from __future__ import annotations

from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec

FORM = (
    '<View><Image name="i" value="$photo.url"/><Choices name="label" toName="i">'
    '<Choice value="dark"/><Choice value="light"/></Choices></View>'
)


def spec_of(fetch: str, more: str = "", params: str = "{}") -> LoopSpec:
    learner = f'{{name: images, fetch: ["{fetch}"], params: {params}}}'
    yaml = f'feedback_loop:\n  trigger: "model_confidence < 0.9"\n  holdout: 0.3\n  learner: {learner}\n'
    return parse("photos", yaml + more, FORM)
