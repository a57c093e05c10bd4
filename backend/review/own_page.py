"""Own page: how one person works, for that person, behind a signed link that expires. It needs no login.

The link opens this page of this person and nothing else. It shows no flag and nobody else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, abort, render_template
from itsdangerous import BadSignature, URLSafeSerializer

from backend.report.estimates.working import for_the_person, working_report
from backend.review.guard import asker
from labelloop.process.settings import Settings
from labelloop.store.database import Database

ENDPOINT = "own"
"""Endpoint that needs no login: the link is the permission."""
SALT = "labelloop: the page of one person"


def link(settings: Settings, loop: str, person: UUID, until: datetime) -> str:
    """Return the address of the page of this person, valid until a time."""
    token = _signer(settings).dumps([loop, str(person), int(until.timestamp())])
    return f"{(settings.review_url or settings.backend_url).rstrip('/')}/review/own/{token!s}"


def add(bp: Blueprint, settings: Settings, database: Database) -> None:
    """Add the route of the page."""
    ask = asker(database)

    def own(token: str) -> str:
        now = datetime.now(UTC)
        try:
            loop, person, until = _signer(settings).loads(token)
        except BadSignature:
            abort(404, "There is no such page.")
        if now.timestamp() > until:
            abort(410, "This link has expired. Ask for a new one: labelloop people link")
        report = ask(lambda conn: working_report(conn, loop, now, person))
        return render_template("review/own.html", r=report, people=[for_the_person(one) for one in report["people"]])

    bp.add_url_rule("/own/<token>", ENDPOINT, own)


def _signer(settings: Settings) -> URLSafeSerializer:
    return URLSafeSerializer(settings.secret_key, salt=SALT)
