"""Retraction: a reviewer's answer over HTTP is taken back, as if the reviewer had deleted an annotation.

It is named like the answer itself: by the output and the reviewer. So a second retraction changes nothing, and the
client need not have kept an id.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flask import Blueprint, Response, jsonify, request

from labelloop.answers import given
from labelloop.errors import InvalidOutput
from labelloop.outputs.output import OutputState
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.pipelines import direct
from labelloop.store.pipelines.direct import Judged
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import projects
from sync.answering.feedback import Named, invalid, locked, loop_of, read_name, reviewer_of
from sync.callers import Callers
from sync.intake.asking import Refusal, active_spec, caller, protect
from sync.pull.distrust import ask_again_without_task
from sync.pull.resolve import resolve

logger = logging.getLogger(__name__)

FIELDS = ("model_output_id", "key", "reviewer_id")


def blueprint(database: Database, callers: Callers) -> Blueprint:
    """Return the routes."""
    bp = Blueprint("retraction", __name__)
    protect(bp, callers)
    bp.errorhandler(InvalidOutput)(invalid)

    @bp.delete("/v1/loops/<loop>/feedback")
    def take_back(loop: str) -> Response:
        """Take back the answer of a reviewer of this loop."""
        return _answer(database, loop, read(request.args))

    @bp.delete("/feedback/", strict_slashes=False)
    def take_back_by_id() -> Response:
        """Take back the answer of a reviewer; the output's id tells the loop."""
        named = read(request.args)
        return _answer(database, loop_of(database, named), named)

    return bp


def read(query: Mapping[str, str]) -> Named:
    """Return the output and the reviewer that a query names. Raises InvalidOutput with the field that does not fit."""
    if others := sorted(query.keys() - set(FIELDS)):
        raise InvalidOutput(others[0][:200], f"no such parameter; there are: {', '.join(FIELDS)}")
    return read_name(query)


def retract(conn: Conn, spec: LoopSpec, named: Named, source: str | None = None) -> tuple[Judged, bool]:
    """Take the answer back, and resolve the others anew. Returns the output, and False if it was taken back before.

    `source`: the only source of outputs whose answers the sender may take back; None for any. Raises Refusal: 404 if
    there is no such output or the reviewer never answered it over HTTP, 403 if the answer came from Label Studio.
    """
    instance = given.instance_of(spec.name)
    output = locked(conn, spec, named, source)
    user, person = reviewer_of(conn, spec.name, instance, named.reviewer_id)
    if person.email is not None and direct.is_answered_in_label_studio(conn, instance, output.id, person.email):
        raise Refusal(403, "this feedback came from Label Studio: delete the annotation there", path="reviewer_id")
    taken = annotation_store.write_tombstone(conn, instance, given.annotation_id(output.id, user), output.id)
    if taken is None:
        words = f"reviewer {named.reviewer_id!r} has given no feedback on this output"
        raise Refusal(404, words, path="reviewer_id")
    if taken:
        resolve(conn, spec, instance, [output.id], {user: person})
        project = projects.get(conn, spec.name)
        if project is not None:  # an earlier answer of the same person in Label Studio counts again
            resolve(conn, spec, project.instance, [output.id], {})
        ask_again_without_task(conn, spec, output.id)
    return output, taken


def _answer(database: Database, loop: str, named: Named) -> Response:
    with database.transaction() as conn:
        output, is_new = retract(conn, active_spec(conn, loop, "feedback"), named, caller().source)
        [status] = output_store.find(conn, loop, [output.key])
    logger.info("feedback taken back", extra={"loop": loop, "new": is_new})
    answer = status.answer_label if status.state == OutputState.ANSWERED else None
    return jsonify(loop=loop, model_output_id=output.id, key=output.key, state=status.state, answer=answer, new=is_new)
