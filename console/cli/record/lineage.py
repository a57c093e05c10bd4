"""The command that traces answers to versions and versions to answers: lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import plain, print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.store.database import Conn


@click.command()
@click.argument("version", required=False)
@click.option("--output", metavar="KEY", help="List the versions that were trained on this output.")
@click.option("--reviewer", metavar="EMAIL", help="List the versions that were trained on answers of this annotator.")
@click.option("--rows", is_flag=True, help="With VERSION: list every answer, not only their number.")
@click.option("--stale", is_flag=True, help="With VERSION: list the answers that were changed or withdrawn since.")
@one_of_the_loops
@as_json_too
@with_settings
def lineage(
    settings: Settings,
    version: str | None,
    output: str | None,
    reviewer: str | None,
    rows: bool,
    stale: bool,
    loop: str | None,
    as_json: bool,
) -> None:
    """Show the answers on which VERSION was trained, by annotator. With --output or --reviewer: list the versions
    trained on that output's answer or on that annotator's answers.
    """
    from labelloop.store.questions import uses

    if sum(x is not None for x in (version, output, reviewer)) != 1:
        raise UsageError("give exactly one of: VERSION, --output KEY, --reviewer EMAIL")
    with open_database(settings) as db:
        if version is not None:
            with db.transaction() as conn:
                report = _learned_from(conn, version, rows=rows or as_json, stale_only=stale)
            return print_json(report) if as_json else _lineage(report)
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            if output is not None:
                if not uses.known_output(conn, name, output):
                    raise UsageError(f"no output of {name} has the key {output!r}")
                return show([plain(row) for row in uses.by_output(conn, name, output)], as_json)
            assert reviewer is not None
            found = uses.by_reviewer(conn, name, reviewer)
            known = uses.known_reviewers(conn)
    if not found and reviewer not in known:
        raise UsageError(
            f"no answers from {reviewer!r}; annotators with answers: {', '.join(known[:10]) or 'none yet'}"
        )
    show([plain(row) for row in found], as_json)


def _learned_from(conn: Conn, version: str, *, rows: bool, stale_only: bool) -> dict[str, Any]:
    from labelloop.store.questions import lineage as store
    from labelloop.store.tables import versions as version_store
    from labelloop.versions.version import find

    version_id = find(version, version_store.all_ids(conn))
    report = {
        "version": version_id,
        **plain(store.counts(conn, version_id)),
        "runs": [
            {"id": run.id, "status": run.status, "feedback_upto": run.feedback_upto, "seed": run.seed}
            for run in store.runs_of(conn, version_id)
        ],
        "reviewers": [plain(row) for row in store.reviewers(conn, version_id)],
    }
    if rows or stale_only:
        report["rows"] = [plain(row) for row in store.training_answers(conn, version_id, stale_only=stale_only)]
    return report


def _lineage(report: Mapping[str, Any]) -> None:
    shown = {key: value for key, value in report.items() if key not in ("rows", "runs", "reviewers")}
    runs = [f"{str(run['id'])[:8]} ({run['status']}, answers up to {run['feedback_upto']})" for run in report["runs"]]
    people = [f"{row['reviewer']} ({row['answers']})" for row in report["reviewers"]]
    show({**shown, "runs": runs, "reviewers": people}, as_json=False)
    if "rows" in report:
        show([_answer(row) for row in report["rows"]], as_json=False)


def _answer(row: Mapping[str, Any]) -> dict[str, Any]:
    by = [f"{s['reviewer']} (annotation {s['annotation']})" for s in row["said"]]
    now = {None: "unchanged", "withdrawn": "withdrawn", "changed": f"changed to {row['now_label']}"}[row["stale"]]
    return {
        "key": row["key"],
        "label": row["label"],
        "answer": row["answer_seq"],
        "answered by": by,
        "now": now,
    }


COMMANDS = (lineage,)
