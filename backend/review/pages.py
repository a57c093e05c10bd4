"""The review pages: loops, runs, versions, comparisons; and the buttons, each behind a second look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, flash, make_response, redirect, render_template, request, session, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from backend.report import card as cards
from backend.report import words
from backend.report.days import DAYS
from backend.report.loops import loop_report, overview_report
from backend.report.runs import run_progress, run_report
from backend.report.versions import comparison, full_version_id, version_report, versions_by_loop
from backend.review import charts, decide
from backend.review.download import model_file
from backend.review.guard import Tries, asker, csrf_token, found, identity, need
from labelloop.gate.slices import MIN_SLICE
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access, descriptions
from labelloop.versions.descriptions import Description

HOME = "/review/"
CARDS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""A card stands alone, with its style inside it, and runs nothing."""
DEEDS = "any(promote, refuse, stop, rollback, retrain)"


def blueprint(settings: Settings, database: Database) -> Blueprint:
    bp = Blueprint("review", __name__, url_prefix="/review", template_folder="templates", static_folder="static")
    tries, ask = Tries(), asker(database)
    for function in words.FILTERS:
        bp.add_app_template_filter(function)
    bp.context_processor(lambda: {"identity": identity(), "csrf_token": csrf_token})

    @bp.get("/")
    def overview() -> str:
        archived = "archived" in request.args
        return render_template("review/overview.html", **ask(lambda conn: overview_report(conn, archived=archived)))

    @bp.get("/loops/<loop>")
    def loop(loop: str) -> str:
        report = ask(lambda conn: loop_report(conn, loop, label_studio_url=settings.label_studio_url))
        drawn = {"curve": charts.learning_curve(report["curve"]), **charts.by_day(report["days"])}
        return render_template("review/loop.html", l=report, charts=_markup(drawn), day_limit=DAYS)

    @bp.get("/runs/<run_id>")
    def run(run_id: str) -> str:
        report = ask(lambda conn: run_report(conn, run_id, label_studio_url=settings.label_studio_url))
        drawn = {
            "curve": charts.learning_curve(report["curve"]),
            "calibration": charts.calibration(report["calibration"]),
            "sides": charts.side_by_side(report),
        }
        return render_template("review/run.html", run=report, charts=_markup(drawn), min_slice=MIN_SLICE)

    @bp.get("/runs/<run_id>/progress")
    def progress(run_id: str) -> Any:
        return ask(lambda conn: run_progress(conn, run_id))

    @bp.get("/versions/<version_id>")
    def version(version_id: str) -> str:
        return render_template("review/version.html", version=ask(lambda conn: version_report(conn, version_id)))

    @bp.get("/versions/<version_id>/card")
    def card(version_id: str) -> Response:
        made = found(lambda: cards.card(database, version_id, settings.models_dir))
        answer = make_response(cards.card_html(made))
        answer.headers["Content-Security-Policy"] = CARDS_POLICY
        return answer

    @bp.get("/versions/<version_id>/file")
    def file(version_id: str) -> Response:
        need(access.PROMOTE)
        return model_file(settings.models_dir, ask(lambda conn: full_version_id(conn, version_id)))

    @bp.post("/versions/<version_id>/description")
    def describe(version_id: str) -> AnyResponse:
        by, form = need(access.PROMOTE).name, request.form
        description = Description.of(form.get("name"), form.get("tags", "").split(","), form.get("note"))
        version = ask(lambda conn: full_version_id(conn, version_id))
        with database.transaction() as conn:
            # A form that does not say what it has seen has seen nothing.
            descriptions.write(conn, version, description, by, seen=form.get("seen", -1, type=int))
        flash("Name, tags and note are saved.")
        return redirect(url_for("review.version", version_id=version), 303)

    @bp.get("/compare")
    def compare() -> str:
        a, b = request.args.get("a", "").strip(), request.args.get("b", "").strip()
        both = ask(lambda conn: comparison(conn, a, b)) if a and b else None
        choices = ask(versions_by_loop)
        return render_template("review/compare.html", both=both, a=a, b=b, choices=choices)

    @bp.get(f"/<{DEEDS}:what>/<subject>")
    def look(what: str, subject: str) -> str:
        need(access.PROMOTE)
        return render_template("review/look.html", look=ask(lambda conn: decide.look(conn, what, subject)))

    @bp.post(f"/<{DEEDS}:what>/<subject>")
    def do(what: str, subject: str) -> AnyResponse:
        by = need(access.PROMOTE).name
        asked = ask(lambda conn: decide.look(conn, what, subject))
        epoch, to = request.form.get("epoch", type=int), request.form.get("to")
        deed = decide.Deed(by, request.form.get("why", ""), -1 if epoch is None else epoch, to)
        flash(decide.do(database, settings.models_dir, asked, deed))
        return redirect(HOME + asked.back, 303)

    @bp.get("/login")
    def login() -> str:
        return render_template("review/login.html", next=_local(request.args.get("next")))

    @bp.post("/login")
    def log_in() -> Any:
        onward = _local(request.form.get("next"))
        if tries.too_many(csrf_token()):
            said = "Too many wrong tokens from this browser: wait a minute."
            return render_template("review/login.html", next=onward, said=said), 429
        with database.transaction() as conn:
            row = access.of_token(conn, request.form.get("token", "").strip())
        if row is None:
            tries.wrong(csrf_token())
            said = "This token opens nothing: it is mistyped, or was revoked."
            return render_template("review/login.html", next=onward, said=said), 401
        session.clear()  # nothing that somebody else may have planted in this browser lives on
        session.permanent = True
        session["token"] = str(row.id)
        return redirect(onward, 303)

    @bp.post("/logout")
    def log_out() -> AnyResponse:
        session.clear()
        return redirect(url_for("review.login"), 303)

    @bp.get("/<path:_>")
    def nothing(_: str) -> str:
        abort(404, "There is no such page.")

    return bp


def _markup(drawn: Mapping[str, str]) -> dict[str, Markup]:
    return {name: Markup(chart) for name, chart in drawn.items()}


def _local(path: str | None) -> str:
    """Where to go after the login: a page of ours, whatever the link said."""
    if not path or not path.startswith(HOME) or not path.isprintable():
        return HOME
    return HOME if "\\" in path or "//" in path else path
