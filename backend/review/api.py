"""The same reports and decisions for programs: JSON below /v1/review, with a bearer token."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, request

from backend.report import card as cards
from backend.report.loops import loop_report, overview_report
from backend.report.runs import run_progress, run_report
from backend.report.versions import comparison, full_version_id, version_report
from backend.review import decide
from backend.review.download import model_file
from backend.review.guard import asker, found, need
from labelloop.process.bodies import json_object
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access, descriptions
from labelloop.versions.descriptions import Description


def blueprint(settings: Settings, database: Database) -> Blueprint:
    bp = Blueprint("review_api", __name__, url_prefix="/v1/review")
    ask = asker(database)

    @bp.get("/overview")
    def overview() -> Any:
        archived = "archived" in request.args
        return ask(lambda conn: overview_report(conn, archived=archived))

    @bp.get("/loops/<loop>")
    def loop(loop: str) -> Any:
        return ask(lambda conn: loop_report(conn, loop, label_studio_url=settings.label_studio_url))

    @bp.get("/runs/<run_id>")
    def run(run_id: str) -> Any:
        return ask(lambda conn: run_report(conn, run_id, label_studio_url=settings.label_studio_url))

    @bp.get("/runs/<run_id>/progress")
    def progress(run_id: str) -> Any:
        return ask(lambda conn: run_progress(conn, run_id))

    @bp.get("/versions/<version_id>")
    def version(version_id: str) -> Any:
        return ask(lambda conn: version_report(conn, version_id))

    @bp.get("/versions/<version_id>/card")
    def card(version_id: str) -> Any:
        return found(lambda: cards.card(database, version_id, settings.models_dir))

    @bp.get("/versions/<version_id>/file")
    def file(version_id: str) -> Response:
        need(access.PROMOTE)
        return model_file(settings.models_dir, ask(lambda conn: full_version_id(conn, version_id)))

    @bp.post("/versions/<version_id>/description")
    def describe(version_id: str) -> Any:
        """`name`, `tags` and `note`, all three; what is left out is empty from then on."""
        by, body = need(access.PROMOTE).name, json_object()
        name, tags, note = body.get("name"), body.get("tags") or [], body.get("note")
        if not isinstance(name, str | None) or not isinstance(note, str | None) or not isinstance(tags, list):
            abort(400, "name and note must be texts, and tags a list of texts")
        if not all(isinstance(tag, str) for tag in tags):
            abort(400, "name and note must be texts, and tags a list of texts")
        description = Description.of(name, tags, note)
        version = ask(lambda conn: full_version_id(conn, version_id))
        with database.transaction() as conn:
            descriptions.write(conn, version, description, by)
            return version_report(conn, version)

    @bp.get("/compare")
    def compare() -> Any:
        a, b = request.args.get("a", ""), request.args.get("b", "")
        return ask(lambda conn: comparison(conn, a, b))

    @bp.post("/<what>/<subject>")
    def do(what: str, subject: str) -> Any:
        """`why`, for a roll-back `to`, and `epoch` where it matters that nobody has changed the champion meanwhile."""
        by, body = need(access.PROMOTE).name, json_object()
        if not isinstance(why := body.get("why"), str):
            abort(400, 'the body must be a JSON object with the reason, {"why": ".."}')
        to, epoch = body.get("to"), body.get("epoch")
        if not isinstance(to, str | None) or not isinstance(epoch, int | None) or isinstance(epoch, bool):
            abort(400, "to must be a version's id, and epoch a number")
        asked = ask(lambda conn: decide.look(conn, what, subject))
        return {"done": decide.do(database, settings.models_dir, asked, decide.Deed(by, why, epoch, to))}

    return bp
