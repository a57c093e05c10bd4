"""The commands for alerts: alerts, alerts accept, alerts reject, alerts reopen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from console.cli.decisions import signed_by, with_a_reason
from console.cli.output import plain, show, to_stderr
from console.cli.wrappers import all_or_one, as_json_too, loop_names, open_database, with_settings
from labelloop.answers.alerts import AlertKind, AlertState
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.answers.alerts import Alert
    from labelloop.store.database import Database

LISTED = 200
"""Alerts that are listed if no other number is given."""


@click.group(invoke_without_command=True)
@all_or_one
@click.option("--all", "all_", is_flag=True, help="Include accepted and rejected alerts.")
@click.option(
    "--last", type=click.IntRange(1, 100_000), default=LISTED, show_default=True, help="Largest number listed."
)
@as_json_too
@with_settings
@click.pass_context
def alerts(ctx: click.Context, settings: Settings, loop: str | None, all_: bool, last: int, as_json: bool) -> None:
    """List what people did in Label Studio to the work of others, the newest first.

    What an open alert covers does not count, neither in training nor in reports, until you accept it.
    """
    if ctx.invoked_subcommand is not None:
        if loop is not None or all_ or as_json:
            raise UsageError("give these options after the command: labelloop alerts accept 12 --loop pets")
        return None
    from labelloop.store.alerts import rows

    with open_database(settings) as db:
        names = loop_names(db, loop, archived=True)
        with db.transaction() as conn:
            found = rows.list_(conn, names, only_open=not all_, limit=last)
            n = sum(count.n for count in rows.open_counts(conn, loop))
    if as_json:
        return show([plain(alert) for alert in found], as_json)
    show([_line(alert) for alert in found], as_json)
    if n > len(found):
        to_stderr(f"{n} alerts are open; --last {n} lists all of them")


def _which(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the ways to name alerts."""
    person = click.option("--person", metavar="ADDRESS", help="All alerts about what this person did.")
    kind = click.option(
        "--kind", type=click.Choice([kind.value for kind in AlertKind]), help="All alerts of this kind."
    )
    ids = click.argument("ids", metavar="[ID]...", nargs=-1, type=click.IntRange(1, 10**18))
    return ids(kind(person(all_or_one(command))))


@alerts.command(short_help="Let what was done count.")
@_which
@with_a_reason
@as_json_too
@with_settings
def accept(settings: Settings, **given: Any) -> None:
    """Accept alerts: what was done counts from now on, under the name of the person who did it."""
    _decide(settings, AlertState.ACCEPTED, **given)


@alerts.command(short_help="Never let what was done count.")
@_which
@with_a_reason
@as_json_too
@with_settings
def reject(settings: Settings, **given: Any) -> None:
    """Reject alerts: what was done never counts, and what counted before counts again.

    A deleted answer counts again. Edited data are restored in Label Studio. Where no answer is left, another person is
    asked.
    """
    _decide(settings, AlertState.REJECTED, **given)


@alerts.command(short_help="Take a decision back.")
@_which
@signed_by("Name of the person who decides.", always=False)
@as_json_too
@with_settings
def reopen(settings: Settings, by: str | None, **given: Any) -> None:
    """Take decisions back: the alerts are open again."""
    _decide(settings, AlertState.OPEN, by=by or "", why="", **given)


def _decide(
    settings: Settings,
    state: AlertState,
    *,
    ids: Sequence[int],
    loop: str | None,
    kind: str | None,
    person: str | None,
    by: str,
    why: str,
    as_json: bool,
) -> None:
    from labelloop.store.alerts import deciding

    was = [AlertState.ACCEPTED, AlertState.REJECTED] if state == AlertState.OPEN else [AlertState.OPEN]
    with open_database(settings) as db:
        if loop is not None:
            loop_names(db, loop)
        with db.transaction() as conn:
            which = None if kind is None else AlertKind(kind)
            chosen = deciding.chosen(conn, ids, was=was, loop=loop, kind=which, person=person)
            if state == AlertState.OPEN:
                done = deciding.reopen(conn, chosen)
            else:
                done = deciding.decide(conn, chosen, state, by, deciding.reason_of(why))
        for name in sorted({alert.loop for alert in done}):
            _settle(db, name)
    show([{"alert": alert.id, "loop": alert.loop, "kind": alert.kind, "state": alert.state} for alert in done], as_json)


def _settle(db: Database, loop: str) -> None:
    from labelloop.store.tables import loops
    from sync.pull.settle import settle_alerts

    with db.transaction() as conn:
        spec = loops.get(conn, loop)
    if spec is not None:
        settle_alerts(db, spec)


def _line(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.id,
        "loop": alert.loop,
        "found": f"{alert.found_at:%Y-%m-%d %H:%M}",
        "kind": alert.kind,
        "key": alert.key,
        "person": alert.person,
        "before": alert.before,
        "after": alert.after,
        "state": alert.state if alert.decided_by is None else f"{alert.state} by {alert.decided_by}",
    }


COMMANDS = (alerts,)
