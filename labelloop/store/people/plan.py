"""Plan: what follows if the answers that a person gave in some time do not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop.store.database import Conn
from labelloop.store.people import decisions
from labelloop.store.people.decisions import Covered, Learned
from labelloop.store.people.who import Somebody, everybody
from labelloop.store.tables import loops
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import PIPELINE


@dataclass(frozen=True, slots=True)
class Plan:
    loop: str
    person: str
    since: datetime
    until: datetime | None
    """None if there is no such time."""
    decision: int | None
    """Number of a decision in force that says so already; None if there is none."""
    covered: Covered
    versions: Sequence[Learned]
    """Versions that learned from these answers, or were judged on them; newest first."""
    champion: str | None
    """The champion, if it learned from them; else None."""
    back_to: str | None
    """The newest earlier champion that did not; `pipeline` for the pipeline's own outputs. None unless `champion`."""
    others: int
    """Other people who have answered in the loop. Without any, nobody can be asked again."""


def plan(conn: Conn, loop: str, person: Somebody, since: datetime, until: datetime | None) -> Plan:
    """Return what follows, before or after the decision. Changes nothing."""
    spec = loops.get(conn, loop)
    assert spec is not None
    learned = decisions.learned(conn, loop, person.ids, since, until)
    champion, back_to = way_back(conn, loop, learned)
    return Plan(
        loop,
        person.name,
        since,
        until,
        decided(conn, loop, person, since, until),
        decisions.covered(conn, loop, person.ids, since, until, spec.overlap),
        learned,
        champion,
        back_to,
        sum(one.ids != person.ids for one in everybody(conn, loop)),
    )


def decided(conn: Conn, loop: str, person: Somebody, since: datetime, until: datetime | None) -> int | None:
    """Return the number of a decision in force that covers all of this time; None if there is none."""
    there = [row for row in decisions.list_(conn, loop, person.ids) if row.ended_at is None]
    same = [row.id for row in there if row.since <= since and (row.until is None or (until and row.until >= until))]
    return same[0] if same else None


def way_back(conn: Conn, loop: str, learned: Sequence[Learned]) -> tuple[str | None, str | None]:
    """Return the champion if it is one of these versions, and the newest earlier champion that is not; else None."""
    champion = version_store.champion(conn, loop)
    taught = {row.version for row in learned if row.taught}
    if champion is None or champion.id not in taught:
        return None, None
    served = [row.version_id for row in version_store.promotions(conn, loop)]
    return champion.id, next((one for one in served if one is not None and one not in taught), PIPELINE)
