"""The commands that measure: people (annotators), corrections, and control (active learning)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import plain, print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.gate import Accuracy
    from labelloop.store.questions.people import ReviewerWork


@click.group(invoke_without_command=True)
@one_of_the_loops
@as_json_too
@with_settings
def people(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Per annotator: number of answers, speed, accuracy on gold items.

    unreadable: answers that labelloop cannot parse; they count nowhere else. prelabels kept: how many of the shown
    prelabels the person submitted unchanged.

    wrong prelabels kept: the same, only of gold items whose prelabel was wrong, with the 95 % interval of the rate. It
    is best at 0.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return None
    from labelloop.gate import Accuracy
    from labelloop.store.questions import people as store

    with open_database(settings) as db, db.transaction() as conn:
        rows = store.work(conn, one_loop(db, loop, archived=True))
    found = [(row, Accuracy.of(row.gold_right, row.gold_asked)) for row in rows]
    if as_json:
        from backend.report.estimates.opinions import rate

        return print_json(
            [
                plain(row) | {"gold": gold.as_json(), "wrong_prelabels": rate(row.wrong_kept, row.wrong_shown)}
                for row, gold in found
            ]
        )
    show([_line(row, gold) for row, gold in found], as_json=False)


def _line(row: ReviewerWork, gold: Accuracy) -> dict[str, Any]:
    return {
        "reviewer": row.reviewer or "unknown (deleted in Label Studio)",
        "answered": row.answered,
        "unreadable": row.unreadable,
        "median": None if row.median_s is None else f"{row.median_s:.1f} s",
        "gold": gold if gold.n else None,
        "prelabels kept": f"{row.kept} of {row.preselected}" if row.preselected else None,
        "wrong prelabels kept": _wrong_kept(row),
    }


def _wrong_kept(row: ReviewerWork) -> str | None:
    from backend.report.estimates.opinions import rate
    from backend.report.words import interval

    if not row.wrong_shown:
        return None
    return f"{row.wrong_kept} of {row.wrong_shown} ({interval(rate(row.wrong_kept, row.wrong_shown))} %)"


@click.command()
@one_of_the_loops
@click.option(
    "--draws",
    type=click.IntRange(2, 200),
    default=9,
    show_default=True,
    help="Random divisions of each lane into halves; each trains 4 models.",
)
@as_json_too
@with_settings
def control(settings: Settings, loop: str | None, draws: int, as_json: bool) -> None:
    """Measure whether active learning pays. Trains on the first answers of the rule lane and on as many random ones of
    the control lane, and compares their accuracy on the hold-out set. If the answers are too few, it says how many more
    would do.
    """
    from backend.decide.control import measure
    from labelloop.store.tables import loops

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec = loops.get(conn, name)
        if spec is None:
            raise UsageError(f"no loop {name!r}")
        found = measure(db, spec, divisions=draws)
    show(plain(found), as_json)


@click.command()
@one_of_the_loops
@click.option("--by", type=click.Choice(["label", "week", "version"]), default="label", show_default=True,
              help="Rows of the table.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="How far back to look.")
@as_json_too
@with_settings
def corrections(settings: Settings, loop: str | None, by: str, days: int, as_json: bool) -> None:
    """Report what people changed in the answers that they were shown: which labels, regions and words, how often.

    It compares each answer with the prelabel that its task showed last. An answer without a prelabel does not count.
    """
    from datetime import UTC, datetime

    from backend.report.corrections import corrections_of
    from backend.report.parts import as_json as in_json_types

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            found = in_json_types(corrections_of(conn, name, datetime.now(UTC), days))
    if as_json:
        return print_json(found)
    click.echo("\n".join(found["sentences"]))
    if found["answers"]:
        show([_corrected(row, by) for row in found[f"{by}s"]], as_json=False)
    for pairs in (found["confusions"], found["words"]) if by == "label" else ():
        if pairs:
            show([{**row, **{side: row[side] or None for side in ("shown", "given")}} for row in pairs], as_json=False)


def _corrected(row: Mapping[str, Any], by: str) -> dict[str, Any]:
    share = None if row["corrected"] is None else f"{100 * row['corrected']:.1f} %"
    if by == "label":
        names = {"control": row["control"], "label": row["label"] or None, "shown": row["shown"]}
        return {**names, **row["counts"], "corrected": share}
    figures = {"answers": row["answers"], "unchanged": row["unchanged"], "shown": row["parts"]}
    return {
        by: row[by],
        **figures,
        "corrections": row["corrections"],
        "corrected": share,
        "added": row["counts"]["added"],
    }


COMMANDS = (
    people,
    corrections,
    control,
)
