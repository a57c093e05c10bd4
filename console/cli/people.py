"""The commands that measure: people, by the answers that were known; control, whether the order pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from console.cli.output import plain, print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.gate import Accuracy
    from labelloop.store.questions.people import ReviewerWork


@click.command()
@one_of_the_loops
@as_json_too
@with_settings
def people(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Who answered how much, how fast, and how often right where the answer was known (gold).

    unreadable: answers that nobody can read; they count nowhere else. kept: how often what was preselected was
    submitted untouched.
    """
    from labelloop.gate import Accuracy
    from labelloop.store.questions import people as store

    with open_database(settings) as db, db.transaction() as conn:
        rows = store.work(conn, one_loop(db, loop, archived=True))
    found = [(row, Accuracy.of(row.gold_right, row.gold_asked)) for row in rows]
    if as_json:
        return print_json([plain(row) | {"gold": gold.as_json()} for row, gold in found])
    show([_line(row, gold) for row, gold in found], as_json=False)


def _line(row: ReviewerWork, gold: Accuracy) -> dict[str, Any]:
    return {
        "reviewer": row.reviewer or "nobody (deleted in Label Studio)",
        "answered": row.answered,
        "unreadable": row.unreadable,
        "median": None if row.median_s is None else f"{row.median_s:.1f} s",
        "gold": gold if gold.n else None,
        "kept": f"{row.kept} of {row.preselected}" if row.preselected else None,
    }


@click.command()
@one_of_the_loops
@click.option("--draws", type=click.IntRange(2, 200), default=20, show_default=True, help="Models fitted on each side.")
@as_json_too
@with_settings
def control(settings: Settings, loop: str | None, draws: int, as_json: bool) -> None:
    """Does active learning pay? As many answers of the rule as of the control, judged on the hold-out."""
    from backend.decide.control import measure
    from labelloop.store.tables import loops

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec = loops.get(conn, name)
        if spec is None:
            raise UsageError(f"no loop {name!r}")
        found = measure(db, spec, draws=draws)
    show(plain(found), as_json)


COMMANDS = (
    people,
    control,
)
