"""The findings of the deep look, as those of the ordinary checks."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote, urlsplit

from console.doctor.deep import CouldNotLookError, Places, Status, Verdict, look_twice
from console.doctor.findings import Finding, fault, good, hint, unseen
from labelloop.process.heads import FILE
from labelloop.process.rooms import ROOMS
from labelloop.process.settings import SECRETS, URLS, Settings

SHOWN = 3
"""Problems in one line."""
SAMPLES = 20
"""Problems whose keys --json has."""


def examine_deep(settings: Settings, loop: str | None, settle_s: float) -> list[Finding]:
    """Return a finding for each invariant of each loop at work, or of one."""
    try:
        verdicts = look_twice(places(settings), loop, settle_s)
    except CouldNotLookError as exc:
        return [unseen("invariants", str(exc), "start Postgres; or set LABELLOOP_DATABASE_URL")]
    return [finding(verdict, settle_s) for verdict in verdicts]


def places(settings: Settings) -> Places:
    """Return where the deep look finds what it compares."""
    secrets = {f"LABELLOOP_{name.upper()}": str(getattr(settings, name)) for name in sorted(SECRETS - URLS)}
    secrets["the password of LABELLOOP_DATABASE_URL"] = unquote(urlsplit(settings.database_url).password or "")
    return Places(
        database_url=settings.database_url,
        label_studio_url=settings.label_studio_url,
        label_studio_token=settings.label_studio_token,
        grace_s=settings.push_grace_s,
        models_dir=settings.models_dir,
        rooms=ROOMS,
        backend_url=settings.backend_url.rstrip("/") if settings.backend_password else "",
        backend_login=(settings.backend_user, settings.backend_password),
        secrets=secrets,
        logs=[settings.data_dir / "logs"],
        heads=settings.record_heads or settings.data_dir / FILE,
    )


def finding(verdict: Verdict, settle_s: float) -> Finding:
    one = verdict.invariant
    check = f"{one.id} {one.name}"
    if verdict.status is Status.OK:
        return good(check, one.promise, verdict.loop)
    if verdict.status is Status.UNKNOWN:
        return unseen(check, verdict.unknown, loop=verdict.loop)
    shown = "; ".join(f"{problem.key}: {problem.says}" for problem in verdict.problems[:SHOWN])
    more = f"; and {len(verdict.problems) - SHOWN:,} more" if len(verdict.problems) > SHOWN else ""
    samples = [problem.key for problem in verdict.problems[:SAMPLES]]
    if verdict.status is Status.SUSPECT:
        for_how_long = (
            f"for less than {settle_s:g} s" if settle_s else "at two looks; --settle 30 tells whether it stays"
        )
        found = hint(check, f"suspect, {for_how_long}: {shown}{more}", verdict.loop)
    else:
        found = fault(check, f"{shown}{more}", why=one.why, repair=verdict.repair, loop=verdict.loop)
    return replace(found, samples=samples, look=verdict.look)
