"""The commands that measure: people (annotators), corrections, and control (active learning)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import plain, print_json, show, to_stderr
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.store.questions.people import ReviewerWork


@click.group(invoke_without_command=True)
@click.option("--person", help="Everything about one person: a name, an address, `user 7` or an id.")
@one_of_the_loops
@as_json_too
@with_settings
def people(settings: Settings, person: str | None, loop: str | None, as_json: bool) -> None:
    """Show each annotator's load, speed and accuracy, and who is to be looked at.

    Shares have their 95 % interval. The column `gold` is about items whose answer is known, and `others` about items on
    which the others agree. `unreadable` are answers that labelloop cannot parse, and that count nowhere else. `wrong
    prelabels kept` are those on gold items that were submitted unchanged. It is best at 0.

    Where loop.yaml shares tasks out, `to answer` are the assigned ones; `load` counts the answers of the period too.

    An honest person is ever flagged ("look at") with a probability of at most 1 %.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return None
    from datetime import UTC, datetime

    from backend.report.estimates.working import working_report
    from labelloop.store.questions import people as store

    with open_database(settings) as db, db.transaction() as conn:
        name = one_loop(db, loop, archived=True)
        found, rows = working_report(conn, name, datetime.now(UTC), person), store.work(conn, name)
    known = {one["login"] or one["name"]: one for one in found["people"]}
    rows = [row for row in rows if person is None or _login(row) in known]
    there = {_login(row) for row in rows}
    rows += [store.nothing_yet(one["name"], one["login"]) for login, one in known.items() if login not in there]
    if as_json:
        return print_json([_as_json(row, known.get(_login(row))) for row in rows])
    for sentence in found["sentences"]:
        to_stderr(sentence)
    if person is not None:
        for one in found["people"]:
            show(dict(one["lines"]), as_json=False)
        return None
    shares = any(one["assigned"] for one in known.values())
    show([_line(row, known.get(_login(row)), shares) for row in rows], as_json=False)
    for one in found["people"]:
        for flag in one["flags"]:
            click.echo(f"Look at {one['name']}: {flag['reason']}. {flag['sentence']}")
        for name_, words in one["lines"]:
            if name_ == "distrusted":
                click.echo(f"{one['name']}: {words}")


def _login(row: ReviewerWork) -> str:
    return row.email or row.reviewer or ""


def _as_json(row: ReviewerWork, working: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the person's work as before there were flags, and everything else under `working`."""
    from backend.report.estimates.opinions import rate
    from labelloop.gate import Accuracy

    gold = Accuracy.of(row.gold_right, row.gold_asked).as_json()
    old = plain(row) | {"gold": gold, "wrong_prelabels": rate(row.wrong_kept, row.wrong_shown)}
    return {**old, "working": working}


def _line(row: ReviewerWork, working: Mapping[str, Any] | None, shares: bool) -> dict[str, Any]:
    from backend.report.words import middle, part
    from labelloop.gate import Accuracy

    gold = Accuracy.of(row.gold_right, row.gold_asked)
    assigned = (working or {}).get("assigned") or {}
    return {
        "reviewer": row.reviewer or "unknown (deleted in Label Studio)",
        "status": None if working is None else working["status"],
        "answered": row.answered,
        **({"to answer": assigned.get("open"), "load": assigned.get("load")} if shares else {}),
        "unreadable": row.unreadable,
        "median": None if working is None or row.median_s is None else middle(working["speed"]),
        "gold": gold if gold.n else None,
        "others": None if working is None or not working["agreement"]["of"] else part(working["agreement"]),
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
