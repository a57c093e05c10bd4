"""The same reports and actions for programs: JSON below /v1/review, with a bearer token."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, Response, abort, request

from backend.report import card as cards
from backend.report.loops import loop_report, overview_report
from backend.report.runs import run_progress, run_report
from backend.report.versions import comparison, full_version_id, version_report
from backend.review.actions import Action, carry_out, confirmation
from backend.review.alerts import decide_alerts
from backend.review.download import model_file
from backend.review.guard import asker, found, require_scope
from backend.review.loop_pages import PAGES, LoopPage
from labelloop.access.identity import PROMOTE
from labelloop.process.bodies import json_object
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import descriptions
from labelloop.versions.descriptions import Description

Json = dict[str, Any]


def blueprint(settings: Settings, database: Database) -> Blueprint:
    bp = Blueprint("review_api", __name__, url_prefix="/v1/review")
    api = _Api(settings, database)
    bp.add_url_rule("/overview", "overview", api.overview)
    bp.add_url_rule("/loops/<loop>", "loop", api.loop)
    for name, page in PAGES.items():
        bp.add_url_rule(f"/loops/<loop>/{name}", name, partial(api.of_loop, page))
    bp.add_url_rule("/loops/<loop>/alerts", "decide", api.decide, methods=["POST"])
    bp.add_url_rule("/runs/<run_id>", "run", api.run)
    bp.add_url_rule("/runs/<run_id>/progress", "run_progress", api.progress)
    bp.add_url_rule("/versions/<version_id>", "version", api.version)
    bp.add_url_rule("/versions/<version_id>/card", "card", api.card)
    bp.add_url_rule("/versions/<version_id>/file", "file", api.file)
    bp.add_url_rule("/versions/<version_id>/description", "describe", api.describe, methods=["POST"])
    bp.add_url_rule("/compare", "compare", api.compare)
    bp.add_url_rule("/<what>/<subject>", "do", api.act, methods=["POST"])
    return bp


class _Api:
    """The views; each returns JSON."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._ask = asker(database)

    def overview(self) -> Json:
        archived = "archived" in request.args
        return self._ask(lambda conn: overview_report(conn, archived=archived))

    def loop(self, loop: str) -> Json:
        url = self._settings.label_studio_url
        return self._ask(lambda conn: loop_report(conn, loop, label_studio_url=url))

    def of_loop(self, page: LoopPage, loop: str) -> Json:
        return self._ask(lambda conn: page.of(conn, loop, request.args))

    def run(self, run_id: str) -> Json:
        url = self._settings.label_studio_url
        return self._ask(lambda conn: run_report(conn, run_id, label_studio_url=url))

    def progress(self, run_id: str) -> Json:
        return self._ask(lambda conn: run_progress(conn, run_id))

    def version(self, version_id: str) -> Json:
        return self._ask(lambda conn: version_report(conn, version_id))

    def card(self, version_id: str) -> Json:
        return found(lambda: cards.card(self._database, version_id, self._settings.models_dir))

    def file(self, version_id: str) -> Response:
        require_scope(PROMOTE)
        return model_file(self._settings.models_dir, self._ask(lambda conn: full_version_id(conn, version_id)))

    def describe(self, version_id: str) -> Json:
        """The body has `name`, `tags` and `note`; one that is missing becomes empty."""
        by, description = require_scope(PROMOTE).name, _description(json_object())
        version = self._ask(lambda conn: full_version_id(conn, version_id))
        with self._database.transaction() as conn:
            descriptions.write(conn, version, description, by)
            return version_report(conn, version)

    def decide(self, loop: str) -> Json:
        """The body has `decision` (accept, reject or reopen), `ids` or `person`, and `why`."""
        by, body = require_scope(PROMOTE).name, json_object()
        ids = body.get("ids", [])
        if not isinstance(ids, list):
            abort(400, "ids must be a list of the numbers of alerts")
        given = body.get("decision"), ids, body.get("person"), by, body.get("why")
        return {"done": decide_alerts(self._database, loop, *given)}

    def compare(self) -> Json:
        a, b = request.args.get("a", ""), request.args.get("b", "")
        return self._ask(lambda conn: comparison(conn, a, b))

    def act(self, what: str, subject: str) -> Json:
        """The body has `why`, and `to` for a roll-back. With `epoch` the action fails if the champion has changed."""
        action = _action(require_scope(PROMOTE).name, json_object())
        asked = self._ask(lambda conn: confirmation(conn, what, subject))
        return {"done": carry_out(self._database, self._settings.models_dir, asked, action)}


def _description(body: Json) -> Description:
    name, tags, note = body.get("name"), body.get("tags") or [], body.get("note")
    if (
        not isinstance(name, str | None)
        or not isinstance(note, str | None)
        or not isinstance(tags, list)
        or not all(isinstance(tag, str) for tag in tags)
    ):
        abort(400, "name and note must be texts, and tags a list of texts")
    return Description.of(name, tags, note)


def _action(by: str, body: Json) -> Action:
    if not isinstance(why := body.get("why"), str):
        abort(400, 'the body must be a JSON object with the reason, {"why": ".."}')
    to, epoch = body.get("to"), body.get("epoch")
    if not isinstance(to, str | None) or not isinstance(epoch, int | None) or isinstance(epoch, bool):
        abort(400, "to must be a version's id, and epoch a number")
    return Action(by, why, epoch, to)
