"""Hold: look at the media of the outputs that come next, and hold those back that no browser can read.

A held output is quarantined with its reason. It is looked at again, less and less often, and waits again when its media
can be read. What only this machine cannot reach is never held. Looking is no part of the intake or of a push.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from labelloop.labeling.media import MediaField, addresses_in, media_fields
from labelloop.pictures.media.many import Wanted, host_of, look_at
from labelloop.pictures.media.of_loop import looker_of
from labelloop.pictures.media.verdict import OF_A_HOST, Code, Level, Verdict, shown
from labelloop.process.settings import Settings
from labelloop.queue.order import MAX_BATCH
from labelloop.spec.loop import LoopSpec
from labelloop.store import budget
from labelloop.store.database import Database
from labelloop.store.media import holding, looks
from labelloop.store.media.looks import Look
from labelloop.store.tables import jobs, projects
from sync.push.batches import in_force
from sync.push.budget import best

logger = logging.getLogger(__name__)

PASS_S = 20.0
"""Seconds of looking in one pass; the next pass goes on."""
MOST = 100
"""Outputs looked at in one pass, and as many held ones again."""
READ_AT_ONCE = 20
"""Outputs whose data is read at once: a picture in the data may be large."""
MOST_HELD = 1_000
"""If this many outputs of a loop are held, no more are: the server is at fault, and a person must mend it first."""
READABLE_FOR_S = 3_600.0
UNKNOWN_FOR_S, MOST_UNKNOWN_S = 60.0, 900.0
UNREADABLE_FOR_S, MOST_UNREADABLE_S = 30.0, 1_800.0
"""Seconds until the next look: doubled at each look in a row that finds the same, up to the second."""
UNCHANGED_FOR_S = 86_400.0
"""Seconds until the next look at an output whose media cannot change: none, or in its own data."""


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of outputs in one pass."""

    looked_at: int = 0
    held: int = 0
    released: int = 0


def look_at_loop(
    database: Database, settings: Settings, spec: LoopSpec, stop: threading.Event, *, limit_s: float = PASS_S
) -> Report:
    """Look at the media of the outputs that a push would take next, and again at those that are held and due."""
    fields = media_fields(spec.labels_xml)
    if not spec.media.check or not fields:
        return Report()
    next_, held = _candidates(database, spec)
    if not next_ and not held:
        return Report()
    wanted = {id_: addresses_in(data, fields) for id_, data in _data(database, [*next_, *held], fields)}
    known = _known(database, settings, spec, [one for several in wanted.values() for one in several], stop, limit_s)
    complete = {id_: several for id_, several in wanted.items() if all(one in known for one in several)}
    return _apply(database, spec, complete, known, held)


def _candidates(database: Database, spec: LoopSpec) -> tuple[list[UUID], set[UUID]]:
    """Return the waiting outputs that come next and are due, the next first; and the held ones that are due."""
    within = min(MAX_BATCH, spec.queue.window)
    with database.transaction() as conn:
        due = set(holding.due(conn, spec.name, MOST))
        if holding.held(conn, spec.name) >= MOST_HELD:
            return [], due
        spent = budget.spent(conn, spec)
        rows, _ = best(conn, spec.name, 2 * within, in_force(conn, spec.name), spent, within)
        return holding.not_looked_at(conn, [row.output_id for row in rows])[:MOST], due


def _data(
    database: Database, ids: Sequence[UUID], fields: Sequence[MediaField]
) -> list[tuple[UUID, Mapping[str, object]]]:
    names = list(dict.fromkeys(field.field for field in fields))
    found: list[tuple[UUID, Mapping[str, object]]] = []
    for start in range(0, len(ids), READ_AT_ONCE):
        with database.transaction() as conn:
            found += holding.data(conn, ids[start : start + READ_AT_ONCE], names).items()
    return found


def _known(
    database: Database,
    settings: Settings,
    spec: LoopSpec,
    wanted: Sequence[Wanted],
    stop: threading.Event,
    limit_s: float,
) -> dict[Wanted, Look]:
    """Return what is known of these addresses, after a look at those that are new or due."""
    names = {one: _name(settings, one) for one in dict.fromkeys(wanted)}
    with database.transaction() as conn:
        stored = looks.get(conn, spec.name, list(names.values()))
    known = {one: stored[name] for one, name in names.items() if name in stored and not stored[name].due}
    with looker_of(database, settings, spec) as looker:
        found = look_at(looker, [one for one in names if one not in known], limit_s, stop)
    new = {one: _look(names[one], one[1], verdict, stored.get(names[one])) for one, verdict in found.items()}
    mended = {
        (before.host, before.code)
        for one, look in new.items()
        if (before := stored.get(names[one])) is not None
        and before.level == Level.UNREADABLE
        and look.level != Level.UNREADABLE
        and before.code in OF_A_HOST
    }
    with database.transaction() as conn:
        rows = [look for one, look in new.items() if not one[1].startswith("data:")]
        looks.keep(conn, spec.name, rows, {look.name: again_in_s(look, one[1]) for one, look in new.items()})
        for host, code in sorted(mended):
            holding.look_again(conn, spec.name, host, [code])
    return known | new


def _apply(
    database: Database,
    spec: LoopSpec,
    wanted: Mapping[UUID, Sequence[Wanted]],
    known: Mapping[Wanted, Look],
    held: set[UUID],
) -> Report:
    """Hold, keep holding, or let wait."""
    unreadable: dict[UUID, tuple[str, str, str, float]] = {}
    others: dict[UUID, float] = {}
    for id_, several in wanted.items():
        bad = next((one for one in several if known[one].level == Level.UNREADABLE), None)
        if bad is None:
            times = [again_in_s(known[one], one[1]) for one in several]
            others[id_] = min(times, default=UNCHANGED_FOR_S)
            continue
        look = known[bad]
        reason = f"{bad[0].tag}: {shown(bad[1])} {look.says}"
        unreadable[id_] = (look.host, look.code, reason[:1000], again_in_s(look, bad[1]))
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "push")
        released = holding.release(conn, {id_: s for id_, s in others.items() if id_ in held})
        holding.seen(conn, spec.name, {id_: s for id_, s in others.items() if id_ not in held})
        holding.hold_on(conn, {id_: why for id_, why in unreadable.items() if id_ in held})
        new = {id_: why for id_, why in unreadable.items() if id_ not in held}
        n = holding.hold(conn, spec.name, in_force(conn, spec.name).name, new) if new else 0
        if released:
            jobs.ask(conn, jobs.PRELABEL, spec.name)
        if released or not others.keys() <= held:
            jobs.ask(conn, jobs.PUSH, spec.name)
    if n:
        first = next(iter(new.values()))[2]
        logger.warning("loop %s: %d held back, because no browser can read the media: %s", spec.name, n, first)
    if released:
        logger.info("loop %s: %d wait again, because their media can be read", spec.name, released)
    return Report(len(wanted), n, released)


def _look(name: bytes, address: str, verdict: Verdict, before: Look | None) -> Look:
    same = before is not None and before.level == verdict.level and verdict.level is not Level.READABLE
    tries = before.tries + 1 if same and before is not None else 1
    host = host_of(address)
    return Look(name, host, verdict.level, verdict.code, verdict.says[:900], verdict.expires_at, tries, due=False)


def again_in_s(look: Look, address: str) -> float:
    """Return the seconds until the next look at an address."""
    if address.startswith("data:"):
        return UNCHANGED_FOR_S
    doubled = 2.0 ** min(look.tries - 1, 10)
    if look.level == Level.UNREADABLE:
        return min(UNREADABLE_FOR_S * doubled, MOST_UNREADABLE_S)
    if look.level == Level.UNKNOWN:
        return min(UNKNOWN_FOR_S * doubled, MOST_UNKNOWN_S)
    if look.expires_at is not None and look.code != Code.EXPIRED:
        return max(1.0, min(READABLE_FOR_S, (look.expires_at - datetime.now(UTC)).total_seconds()))
    return READABLE_FOR_S


def _name(settings: Settings, wanted: Wanted) -> bytes:
    field, address = wanted
    words = (settings.label_studio_page, field.tag, field.medium, address)
    return hashlib.sha256("\n".join(words).encode(errors="surrogatepass")).digest()
