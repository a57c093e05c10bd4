"""The review pages: loops, runs, versions and comparisons; and the actions, each after a confirmation page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Blueprint, Response, abort, flash, make_response, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from backend.report import card as cards
from backend.report import words
from backend.report.days import DAYS
from backend.report.loops import loop_report, overview_report
from backend.report.runs import run_progress, run_report
from backend.report.versions import comparison, full_version_id, version_report, versions_by_loop
from backend.review import charts, distrusting, logins, own_page
from backend.review.actions import Action, carry_out, confirmation
from backend.review.alerts import decide_alerts
from backend.review.download import model_file
from backend.review.guard import HOME, asker, csrf_token, found, identity, require_scope
from backend.review.loop_pages import PAGES, LoopPage
from labelloop.access.identity import PROMOTE
from labelloop.gate.slices import MIN_SLICE
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import descriptions
from labelloop.versions.descriptions import Description

CARD_POLICY = "; ".join(
    ("default-src 'none'", "style-src 'unsafe-inline'", "base-uri 'none'", "frame-ancestors 'none'")
)
"""Content-Security-Policy of a model card: its style is inside the page, and nothing is executed or loaded."""
ACTION = "/<any(promote, refuse, stop, rollback, retrain):what>/<subject>"
PERSON = "/loops/<loop>/<any(distrust, trust):what>"


def blueprint(settings: Settings, database: Database) -> Blueprint:
    bp = Blueprint("review", __name__, url_prefix="/review", template_folder="templates", static_folder="static")
    for function in words.FILTERS:
        bp.add_app_template_filter(function)
    bp.context_processor(lambda: {"identity": identity(), "csrf_token": csrf_token})
    _add_reports(bp, _Reports(settings, database))
    _add_actions(bp, _Actions(settings, database))
    logins.add(bp, settings, database)
    own_page.add(bp, settings, database)
    bp.add_url_rule("/<path:_>", "nothing", _nothing)
    return bp


def _add_reports(bp: Blueprint, reports: _Reports) -> None:
    bp.add_url_rule("/", "overview", reports.overview)
    bp.add_url_rule("/loops/<loop>", "loop", reports.loop)
    for name, page in PAGES.items():
        bp.add_url_rule(f"/loops/<loop>/{name}", name, partial(reports.of_loop, name, page))
    bp.add_url_rule("/runs/<run_id>", "run", reports.run)
    bp.add_url_rule("/runs/<run_id>/progress", "run_progress", reports.progress)
    bp.add_url_rule("/versions/<version_id>", "version", reports.version)
    bp.add_url_rule("/versions/<version_id>/card", "card", reports.card)
    bp.add_url_rule("/versions/<version_id>/file", "file", reports.file)
    bp.add_url_rule("/compare", "compare", reports.compare)


def _add_actions(bp: Blueprint, actions: _Actions) -> None:
    # Metrics know a route by these names: "look" and "do" are older than the functions.
    bp.add_url_rule(ACTION, "look", actions.confirm)
    bp.add_url_rule(ACTION, "do", actions.act, methods=["POST"])
    bp.add_url_rule(PERSON, "look_at_person", actions.confirm_person)
    bp.add_url_rule(PERSON, "do_about_person", actions.decide_person, methods=["POST"])
    bp.add_url_rule("/loops/<loop>/alerts", "decide", actions.decide, methods=["POST"])
    bp.add_url_rule("/versions/<version_id>/description", "describe", actions.describe, methods=["POST"])


class _Reports:
    """The pages that show a report."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._ask = asker(database)

    def overview(self) -> str:
        archived = "archived" in request.args
        report = self._ask(lambda conn: overview_report(conn, archived=archived))
        return render_template("review/overview.html", **report)

    def loop(self, loop: str) -> str:
        url = self._settings.label_studio_url
        report = self._ask(lambda conn: loop_report(conn, loop, label_studio_url=url))
        drawn = {"curve": charts.learning_curve(report["curve"]), **charts.by_day(report["days"])}
        return render_template("review/loop.html", l=report, charts=_markup(drawn), day_limit=DAYS)

    def of_loop(self, name: str, page: LoopPage, loop: str) -> str:
        report = self._ask(lambda conn: page.of(conn, loop, request.args))
        return render_template(f"review/{name}.html", r=report, charts=_markup(page.charts(report)))

    def run(self, run_id: str) -> str:
        url = self._settings.label_studio_url
        report = self._ask(lambda conn: run_report(conn, run_id, label_studio_url=url))
        drawn = {
            "curve": charts.learning_curve(report["curve"]),
            "calibration": charts.calibration(report["calibration"]),
            "sides": charts.side_by_side(report),
        }
        return render_template("review/run.html", run=report, charts=_markup(drawn), min_slice=MIN_SLICE)

    def progress(self, run_id: str) -> dict[str, Any]:
        return self._ask(lambda conn: run_progress(conn, run_id))

    def version(self, version_id: str) -> str:
        report = self._ask(lambda conn: version_report(conn, version_id))
        return render_template("review/version.html", version=report)

    def card(self, version_id: str) -> Response:
        made = found(lambda: cards.card(self._database, version_id, self._settings.models_dir))
        answer = make_response(cards.card_html(made))
        answer.headers["Content-Security-Policy"] = CARD_POLICY
        return answer

    def file(self, version_id: str) -> Response:
        require_scope(PROMOTE)
        return model_file(self._settings.models_dir, self._ask(lambda conn: full_version_id(conn, version_id)))

    def compare(self) -> str:
        a, b = request.args.get("a", "").strip(), request.args.get("b", "").strip()
        both = self._ask(lambda conn: comparison(conn, a, b)) if a and b else None
        choices = self._ask(versions_by_loop)
        return render_template("review/compare.html", both=both, a=a, b=b, choices=choices)


class _Actions:
    """The pages that change something; each needs the scope `promote`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._ask = asker(database)

    def confirm(self, what: str, subject: str) -> str:
        require_scope(PROMOTE)
        shown = self._ask(lambda conn: confirmation(conn, what, subject))
        return render_template("review/confirm.html", confirm=shown)

    def act(self, what: str, subject: str) -> AnyResponse:
        by = require_scope(PROMOTE).name
        asked = self._ask(lambda conn: confirmation(conn, what, subject))
        action = Action(by, request.form.get("why", ""), _epoch(), request.form.get("to"))
        flash(carry_out(self._database, self._settings.models_dir, asked, action))
        return redirect(HOME + asked.back, 303)

    def confirm_person(self, what: str, loop: str) -> str:
        require_scope(PROMOTE)
        now = datetime.now(UTC)
        shown = self._ask(lambda conn: distrusting.confirmation(conn, what, loop, request.args, now))
        return render_template("review/confirm.html", confirm=shown)

    def decide_person(self, what: str, loop: str) -> AnyResponse:
        by, given, now = require_scope(PROMOTE).name, request.form, datetime.now(UTC)
        asked = self._ask(lambda conn: distrusting.confirmation(conn, what, loop, given, now))
        action = Action(by, request.form.get("why", ""), _epoch(), request.form.get("to"))
        flash(distrusting.carry_out(self._database, self._settings.models_dir, asked, given, action, now))
        return redirect(HOME + asked.back, 303)

    def decide(self, loop: str) -> AnyResponse:
        by, form = require_scope(PROMOTE).name, request.form
        given = form.get("decision"), form.getlist("id"), form.get("person"), by, form.get("why")
        flash(decide_alerts(self._database, loop, *given))
        return redirect(url_for("review.alerts", loop=loop), 303)

    def describe(self, version_id: str) -> AnyResponse:
        by, form = require_scope(PROMOTE).name, request.form
        description = Description.of(form.get("name"), form.get("tags", "").split(","), form.get("note"))
        version = self._ask(lambda conn: full_version_id(conn, version_id))
        with self._database.transaction() as conn:
            # A form without `seen` gets -1, which is never a description's id: nothing is overwritten.
            descriptions.write(conn, version, description, by, seen=form.get("seen", -1, type=int))
        flash("Name, tags and note are saved.")
        return redirect(url_for("review.version", version_id=version), 303)


def _epoch() -> int:
    """Return the epoch that the form was made for. Without one it is -1, which no loop has: nothing is done."""
    return request.form.get("epoch", -1, type=int)


def _nothing(_: str) -> str:
    abort(404, "There is no such page.")


def _markup(drawn: Mapping[str, str]) -> dict[str, Markup]:
    return {name: Markup(chart) for name, chart in drawn.items()}
