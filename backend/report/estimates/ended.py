"""Promises of a loop that ended: a judge that is no longer certified, and certificates about what passes unseen."""

from __future__ import annotations

from backend.report.parts import Report
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.promises import certificates, taught
from labelloop.store.tables import versions


def ended_promises(conn: Conn, spec: LoopSpec, judge: Report | None) -> list[str]:
    """Return a sentence for each promise that held once, that loop.yaml still asks for, and that does not hold now.

    `judge` is the standing of the loop's judge; None if it has none.
    """
    found = []
    if judge is not None and judge["status"] == "stale":
        why = judge["why"][0].rstrip(".")
        found.append(f"the judge is no longer certified: {why[:1].lower()}{why[1:]}")
    newest = certificates.list_(conn, spec.name, 1) if spec.accept is not None else []
    found += [
        f"certificate {str(one.id)[:8]} ended: {one.ended_because}; everything goes to people until there is a new one"
        for one in newest
        if one.ended_at is not None
    ]
    champion = versions.champion(conn, spec.name)
    if champion is not None and champion.accepted and (n := taught.no_longer_standing(conn, champion.id)):
        found.append(
            f"the champion was trained on {n:,} of {champion.accepted:,} outputs that passed unseen by a certificate "
            "that was revoked or withdrawn since: train a new version, or roll back"
        )
    return found
