"""Feedback without Label Studio: a reviewer's answer that comes over HTTP.

It is stored as a version of an annotation and resolved like an answer from Label Studio, in one transaction. Sending it
twice stores it once; another answer of the same reviewer replaces it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, jsonify

from labelloop.answers import given
from labelloop.answers.annotations import Annotation
from labelloop.answers.people import LONGEST_NAME, Person
from labelloop.errors import InvalidOutput
from labelloop.outputs import fitting, reading
from labelloop.outputs.output import OutputState
from labelloop.process.problems import problem
from labelloop.reading import fields, strict_json
from labelloop.reading.ids import UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.pipelines import direct
from labelloop.store.pipelines.direct import Current, Judged
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import projects
from sync.callers import Callers
from sync.intake.asking import JSON, Refusal, active_spec, body, caller, protect
from sync.pull.resolve import resolve

logger = logging.getLogger(__name__)

FIELDS = ("model_output_id", "key", "reviewer_id", "approval", "correction", "comment")
MAX_BYTES = 256 << 10
MAX_COMMENT = 10_000


@dataclass(frozen=True, slots=True)
class Named:
    """An output and a reviewer, as they were sent."""

    output_id: UUID | None
    """None if the output is named by its key."""
    key: str | None
    """None if the output is named by its id."""
    reviewer_id: str


@dataclass(frozen=True, slots=True)
class Given(Named):
    """The answer of one reviewer about one output, as it was sent."""

    approval: bool
    correction: Any
    """The correct answer, in the form of an output's `label`; None if none was sent."""
    comment: str | None


def blueprint(database: Database, callers: Callers) -> Blueprint:
    """Return the routes."""
    bp = Blueprint("feedback", __name__)
    protect(bp, callers)
    bp.errorhandler(InvalidOutput)(invalid)

    @bp.post("/v1/loops/<loop>/feedback")
    def give(loop: str) -> tuple[Response, int]:
        """Store the answer of a reviewer of this loop."""
        with database.transaction() as conn:
            active_spec(conn, loop, "feedback")
        return _answer(database, loop, read(body((JSON,), JSON, MAX_BYTES)))

    @bp.post("/feedback/", strict_slashes=False)
    def give_by_id() -> tuple[Response, int]:
        """Store the answer of a reviewer; the output's id tells the loop."""
        sent = read(body((JSON,), JSON, MAX_BYTES))
        return _answer(database, loop_of(database, sent), sent)

    return bp


def loop_of(database: Database, sent: Named) -> str:
    """Return the loop of the output that is named by its id. Raises InvalidOutput if a key names it, and Refusal (404)
    if the caller may not use the loop.
    """
    if sent.output_id is None:
        raise InvalidOutput("model_output_id", "is missing; a key is unique in a loop only")
    with database.transaction() as conn:
        loop = direct.loop_of(conn, sent.output_id)
    if loop is None or not caller().may_use(loop):
        raise _unknown(sent)
    return loop


def read(raw: bytes) -> Given:
    """Return the answer in this JSON. Raises InvalidOutput with the path of the field that does not fit."""
    value = strict_json.loads(raw)
    if not isinstance(value, dict):
        raise InvalidOutput("", "feedback is a JSON object")
    if unknown := sorted(value.keys() - set(FIELDS)):
        raise InvalidOutput(unknown[0][:200], f"no such field; there are: {', '.join(FIELDS)}")
    named, approval = read_name(value), value.get("approval")
    if not isinstance(approval, bool):
        raise InvalidOutput("approval", "is missing" if approval is None else "must be true or false")
    comment = value.get("comment")
    if comment is not None and (not isinstance(comment, str) or len(comment) > MAX_COMMENT):
        raise InvalidOutput("comment", f"must be a text of at most {MAX_COMMENT} characters")
    return Given(
        output_id=named.output_id,
        key=named.key,
        reviewer_id=named.reviewer_id,
        approval=approval,
        correction=value.get("correction"),
        comment=comment or None,
    )


def read_name(sent: Mapping[str, Any]) -> Named:
    """Return the output and the reviewer that these fields name. Raises InvalidOutput for a field that does not fit."""
    output_id, key = sent.get("model_output_id"), sent.get("key")
    if (output_id is None) == (key is None):
        raise InvalidOutput("model_output_id", "exactly one of model_output_id and key is wanted")
    return Named(
        output_id=None if output_id is None else _uuid(output_id),
        key=None if key is None else reading.read_key(key),
        reviewer_id=_login(sent.get("reviewer_id")),
    )


def locked(conn: Conn, spec: LoopSpec, named: Named, source: str | None) -> Judged:
    """Return the output that is named, with the locks that a change of its answers needs until the transaction ends.

    `source`: the only source of outputs that the sender may name; None for any. Raises Refusal (404) if there is none.
    """
    output_id = named.output_id if named.key is None else direct.of_key(conn, spec.name, named.key)
    # In the order of `take_in`: answers first, then the push that may be claiming the output now.
    projects.lock_hop(conn, spec.name, "answers")
    projects.lock_hop(conn, spec.name, "push")
    output = None if output_id is None else direct.lock(conn, spec.name, output_id, source)
    if output is None:
        raise _unknown(named)
    return output


def store(conn: Conn, spec: LoopSpec, sent: Given, source: str | None = None) -> tuple[Judged, Current, bool]:
    """Store the answer, and resolve the output's answers. Returns the output, the reviewer's feedback as it counts now,
    and whether anything changed.

    `source`: the only source of outputs that the sender may answer; None for any. Raises Refusal (404) if the loop has
    no such output, 403 if the reviewer is distrusted, and InvalidOutput if the answer does not fit it.
    """
    instance = given.instance_of(spec.name)
    output = locked(conn, spec, sent, source)
    correction = _correction(spec, output, sent)
    user, person = reviewer_of(conn, spec.name, instance, sent.reviewer_id)
    before = direct.feedback(conn, instance, output.id, user)
    annotation = _annotation(conn, output, user, given.encode(sent.approval, correction, sent.comment))
    stored = {row.id: row.result for row in annotation_store.of_outputs(conn, instance, [output.id])}
    if before is not None and stored.get(annotation.id) == annotation.result:
        return output, before, False
    annotation_store.add(conn, instance, [(annotation, output.id, None)])
    resolve(conn, spec, instance, [output.id], {user: person})
    direct.settle(conn, [output.id])
    now = direct.feedback(conn, instance, output.id, user)
    if now is None:  # it is the newest, see _annotation, so it counts unless its person is distrusted
        words = f"the answers of reviewer {sent.reviewer_id!r} do not count in this loop: somebody decided so"
        raise Refusal(403, words, path="reviewer_id")
    return output, now, True


def _answer(database: Database, loop: str, sent: Given) -> tuple[Response, int]:
    with database.transaction() as conn:
        output, now, is_new = store(conn, active_spec(conn, loop, "feedback"), sent, caller().source)
        [status] = output_store.find(conn, loop, [output.key])
    logger.info("feedback stored", extra={"loop": loop, "new": is_new})
    answered = status.state == OutputState.ANSWERED
    said = {
        "id": now.id,
        "loop": loop,
        "model_output_id": output.id,
        "key": output.key,
        "reviewer_id": now.reviewer_id,
        "approval": now.approval,
        "correction": now.correction,
        "comment": now.comment,
        "label": now.label,
        "state": status.state,
        "answer": status.answer_label if answered else None,
        "new": is_new,
    }
    return jsonify(said), 201 if is_new else 200


def _correction(spec: LoopSpec, output: Judged, sent: Given) -> str | None:
    """Return the correction in the form of the tables; None if the reviewer gave none."""
    correction = fitting.answer("correction", sent.correction, output.data, spec.config, dict.fromkeys(spec.labels))
    if not sent.approval:
        if correction is not None:
            fitting.check_complete("correction", correction, spec.config)
        return correction
    if output.label is None:
        raise InvalidOutput("approval", "the output has no label to approve; send false with a correction")
    if correction not in (None, output.label):
        raise InvalidOutput("correction", "differs from the label that is approved; send approval false")
    return None


def reviewer_of(conn: Conn, loop: str, instance: UUID, named: str) -> tuple[UserId, Person]:
    """Return the reviewer's number and person. A person who answered in Label Studio under this login is the same."""
    known = direct.reviewer(conn, loop, instance, named)
    login = named if known is None or known.email is None else known.email
    name = None if known is None else known.name
    return given.user_id(login), Person(login, (name or named)[:LONGEST_NAME])


def _annotation(conn: Conn, output: Judged, user: UserId, result: list[dict[str, Any]]) -> Annotation:
    """Return the answer as an annotation that is newer than all feedback on the output, whatever Label Studio's clock
    says.
    """
    now = direct.next_time(conn, output.id)
    return Annotation(
        id=given.annotation_id(output.id, user),
        task_id=given.NO_TASK,
        result=result,
        completed_by=user,
        updated_by=user,
        was_cancelled=False,
        ground_truth=False,
        lead_time_s=None,
        parent_prediction=None,
        created_at=now,
        updated_at=now,
    )


def _uuid(value: object) -> UUID:
    if not isinstance(value, str):
        raise InvalidOutput("model_output_id", "must be a text: the `id` of an output")
    try:
        return UUID(value)
    except ValueError:
        raise Refusal(404, f"no output {value[:100]!r}", path="model_output_id") from None


def _login(value: object) -> str:
    login = fields.word("reviewer_id", value, empty=False)
    if login is None:
        raise InvalidOutput("reviewer_id", "is missing")
    if login != login.strip() or not login.isprintable():
        raise InvalidOutput("reviewer_id", "must be printable characters without blanks around them")
    return login


def _unknown(sent: Named) -> Refusal:
    """Return the refusal of an output that does not exist."""
    if sent.key is not None:
        return Refusal(404, f"no output {sent.key!r} in this loop", path="key")
    return Refusal(404, f"no output {str(sent.output_id)!r}", path="model_output_id")


def invalid(exc: InvalidOutput) -> Response:
    """Answer 422, or 413 if it is too large."""
    return problem(exc.status, str(exc), path=exc.path)
