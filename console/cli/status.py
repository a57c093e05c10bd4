"""The commands about the installation as a whole: status, loops, settings, migrate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.output import show, to_stderr
from console.cli.wrappers import all_or_one, as_json_too, loop_names, open_database, with_settings
from labelloop.errors import Failed, SpecError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.spec.loop import LoopSpec
    from labelloop.store.database import Conn

RARE_STATES = (
    "pushing",
    "quarantined",
    "media_held",
    "withdrawn",
    "unreadable",
    "faulty_tasks",
    "alerts",
    "dead_deliveries",
    "rests_on_correction",
    "repeats",
    "outbox_waiting",
    "outbox_refused",
    "budget",
)
"""Columns that are seldom used: the table shows one only if a loop has a number above 0 or a text there."""
with_archived = click.option("--archived", is_flag=True, help="Include archived loops.")


@click.command()
@all_or_one
@with_archived
@as_json_too
@with_settings
def status(settings: Settings, loop: str | None, archived: bool, as_json: bool) -> None:
    """Count the outputs of each loop by state, and show its learner, champion and last run.

    unreadable: outputs in review with an answer that labelloop cannot parse.

    faulty_tasks: tasks that Label Studio cannot show; `labelloop doctor` names them with the reason.

    alerts: what people did to the work of others, and nobody decided yet; `labelloop alerts` lists it.

    media_held: those of the quarantined outputs that are held back, because no browser can read what they show.

    dead_deliveries: events of callbacks that were given up; `labelloop callback deliveries --dead` lists them.

    rests_on_correction: outputs after a corrected step of the same trace.

    repeats: outputs that have the answer of an earlier output with the same content.

    outbox_waiting, outbox_refused: rows of the table outbox that are not taken yet, and rows that cannot be stored.

    budget: the tasks of today, in UTC, and the limits that are used up.
    """
    from labelloop.store import budget
    from labelloop.store.alerts import faulty
    from labelloop.store.alerts import rows as alerts
    from labelloop.store.callbacks import registered
    from labelloop.store.media import holding
    from labelloop.store.pipelines import outbox, repeats
    from labelloop.store.questions import chains
    from labelloop.store.tables import loops as store
    from labelloop.store.tables import outputs, runs, unreadable
    from labelloop.store.tables import versions as version_store

    rows = []
    with open_database(settings) as db, db.transaction() as conn:
        names = store.names(conn, archived=True) if archived and loop is None else loop_names(db, loop, archived=True)
        written = {count.loop: count for count in outbox.counts(conn)}
        for name in names:
            champion = version_store.champion(conn, name)
            latest, spec = runs.latest(conn, name, 1), store.get(conn, name)
            spent = budget.spent(conn, spec) if spec else None
            rows.append(
                {
                    "loop": name,
                    **outputs.state_counts(conn, name),
                    "unreadable": unreadable.outputs(conn, name),
                    "faulty_tasks": faulty.count(conn, name).get(name, 0),
                    "alerts": sum(count.n for count in alerts.open_counts(conn, name)),
                    "media_held": holding.held(conn, name),
                    "dead_deliveries": registered.dead(conn, name),
                    "rests_on_correction": sum(chains.resting(conn, spec).values()) if spec else 0,
                    "repeats": repeats.count(conn, name),
                    "outbox_waiting": written[name].waiting if name in written else 0,
                    "outbox_refused": written[name].refused if name in written else 0,
                    "budget": spent.words() if spent else None,
                    "learner": spec.learner.name if spec else None,
                    "champion": champion.id[:12] if champion else "pipeline",
                    "last_run": latest[0].status if latest else None,
                }
            )
    others = {count.loop: count.refused for count in written.values() if count.refused and count.loop not in names}
    if loop is None and others:
        of_loops = ", ".join(f"{refused} of {name!r}" for name, refused in others.items())
        to_stderr(f"refused rows of the outbox for loops that are not listed: {of_loops} (`labelloop outbox list`)")
    if not as_json:
        absent = {state for state in RARE_STATES if not any(row.get(state) for row in rows)}
        rows = [{name: value for name, value in row.items() if name not in absent} for row in rows]
    show(rows, as_json)


@click.command("loops")
@with_archived
@as_json_too
@with_settings
def at_a_glance(settings: Settings, archived: bool, as_json: bool) -> None:
    """Show all loops at a glance: response time, agreement, accuracy of the champion, and what needs attention."""
    from backend.report.loops import overview_report
    from backend.report.words import duration, interval, percent

    with open_database(settings) as db, db.transaction() as conn:
        loops = overview_report(conn, archived=archived)["loops"]
    if as_json:
        return show(loops, as_json)
    show(
        [
            {
                "loop": loop["loop"],
                "waiting": loop["waiting"],
                "in review": loop["in_review"],
                "answered": loop["answered"],
                "median": _measured(duration(loop["response"]["person_median_s"])),
                "agreement": _measured(percent(loop["agreement"]["agreement"])),
                "champion": loop["champion"]["name"],
                "accuracy, %": interval(loop["champion"]["accuracy"]) or None,
                "needs attention": loop["resting"]
                or "; ".join(need["what"] for need in loop["needs_you"])
                or "nothing",
            }
            for loop in loops
        ],
        as_json,
    )


def _measured(words: str) -> str | None:
    """Return None for "not measured", which the table prints as a dash."""
    return None if words == "not measured" else words


@click.command()
@as_json_too
@with_settings
def settings(settings: Settings, as_json: bool) -> None:
    """Show the settings in force, with secrets hidden. Each is set by LABELLOOP_ and its name in capitals."""
    show(settings.shown(), as_json)


@click.command()
@as_json_too
@with_settings
def migrate(settings: Settings, as_json: bool) -> None:
    """Update the database schema and register the loops of the loops folder. A second run changes nothing.

    A loop with an error is named and keeps its earlier registration; the others are registered, and the exit status
    is 1. If the labels of a loop changed, one line names the new and the removed ones. The next push sends the form.
    """
    from backend.learners.of_spec import check
    from labelloop.spec.folder import load_all, unknown_steps
    from labelloop.store.migrate import migrate as apply
    from labelloop.store.tables import loops

    settings.require("database_url")
    specs, faults = load_all(settings.loops_dir, check)
    applied = apply(settings.owner_url or settings.database_url, settings.database_url)
    with open_database(settings) as db, db.transaction() as conn:
        before = {spec.name: loops.get(conn, spec.name) for spec in specs}
        specs, lost = _registered(conn, specs)
        faults += lost
        resting, known = loops.resting(conn), loops.names(conn, archived=True)
        at_work = [spec for spec in specs if spec.name not in resting]
        changes = [line for spec in at_work for line in _changes(conn, before[spec.name], spec)]
    at_rest = [spec.name for spec in specs if spec.name in resting]
    for name in at_rest:
        to_stderr(f"loop {name!r} was {resting[name]} and stays so; `labelloop loop restore {name}` restores it")
    for line in changes:
        to_stderr(line)
    for warning in filter(None, (spec.without_learner for spec in specs if spec.name not in at_rest)):
        to_stderr(warning)
    registered = [spec.name for spec in specs if spec.name not in at_rest]
    for spec in specs:
        for fault in unknown_steps(settings.loops_dir / spec.name, known):
            to_stderr(str(fault))
    refused = {"refused": [str(fault) for fault in faults]} if faults else {}
    show({"applied": applied, "loops": registered, **refused}, as_json)
    here = Path("labeling_configs").absolute()
    if not as_json and (not specs or (here.is_dir() and settings.loops_dir.absolute() != here)):
        to_stderr(f"loops are read from {settings.loops_dir.absolute()}{'' if specs else ', which has none'}")
    if faults:
        refused_loops = {fault.loop for fault in faults}
        found = f"{len(refused_loops)} of {len(specs) + len(refused_loops)} loops not registered:"
        raise Failed("\n".join([found, *map(str, faults)]))


def _registered(conn: Conn, specs: Sequence[LoopSpec]) -> tuple[list[LoopSpec], list[SpecError]]:
    """Register the loops. Return them as they are registered, and the faults of those whose answers would be lost."""
    from labelloop.store.tables import loops

    found, faults = [], []
    for spec in specs:
        try:
            found.append(loops.register(conn, spec))
        except SpecError as exc:
            faults.append(exc)
    return found, faults


def _changes(conn: Conn, before: LoopSpec | None, spec: LoopSpec) -> Iterator[str]:
    """Yield a line if the loop's form changed, and a warning if stored outputs have a label that is gone."""
    from console.doctor.project import gone
    from labelloop.store.questions import health

    if before is None or before.labels_xml == spec.labels_xml:
        return
    new, lost = ([x for x in a if x not in b] for a, b in ((spec.labels, before.labels), (before.labels, spec.labels)))
    changes = [f"+{label}" for label in new] + [f"-{label}" for label in lost]
    what = f"labels {' '.join(changes)}" if changes else "the form changed"
    yield f"{spec.name}: {what}; the next push sends the new form"
    if (found := health.with_labels_gone(conn, spec)).labels:
        yield f"{spec.name}: {gone(found)}"


COMMANDS = (
    status,
    at_a_glance,
    settings,
    migrate,
)
