"""Given: an answer that came over HTTP or from a file, kept as the result of an annotation. Pure.

It is kept as it was given, so that it can be read with a later form too. Many forms have no control for a comment, or
for a rejection without a correction. A loop's answers over HTTP have a project of their own (`instance`),
so no person in Label Studio can write one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

from labelloop.labeling.results import Reading
from labelloop.reading.ids import AnnotationId, TaskId, UserId

TYPE = "labelloop_feedback"
NO_TASK = TaskId(0)
_SPACE = UUID("8f1d7a52-6f0e-4d0b-9a56-0f6c3c8f2b11")


def instance_of(loop: str) -> UUID:
    """Return the instance under which the loop's answers over HTTP are stored, beside those of its projects."""
    return uuid5(_SPACE, loop)


def user_id(login: str) -> UserId:
    """Return the number of a reviewer, from a hash of the login. Label Studio's own users have small numbers."""
    return UserId(_number(login))


def annotation_id(output_id: UUID, reviewer: UserId) -> AnnotationId:
    """Return the number of the only answer of this reviewer about this output."""
    return AnnotationId(_number(f"{output_id}/{reviewer}"))


def encode(
    approval: bool | None, correction: str | None, comment: str | None, kept: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return the result; `read` is its inverse.

    `approval` is None where there is nothing to approve: the output has no label. `kept`: the answer as another tool
    had it, which is stored beside ours.
    """
    value = {"approval": approval, "correction": correction, "comment": comment}
    return [{"from_name": "labelloop", "type": TYPE, "value": value}, *kept]


def read(result: object, model_label: str | None) -> Reading:
    """Read an encoded answer. `model_label` is the output's label, which an approval confirms."""
    match result:
        case [{"type": type_, "value": {"approval": approval, "correction": correction, "comment": comment}}, *_]:
            if type_ == TYPE and (approval is None or isinstance(approval, bool)):
                label = model_label if approval else correction
                return Reading(label, approval, None if approval is None else correction, comment)
    return Reading()


def kept(result: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the answer as the tool had it in which it was given: all of Label Studio's result; [] without one."""
    return [region for region in result if region.get("type") != TYPE]


def _number(text: str) -> int:
    """Return 62 bits of the hash: two of a million texts are equal with a probability of 1 in 10 million."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2
