"""`labelloop report accuracy`: the error rates of the pipeline's model and of the champion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from console.cli.output import print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

BY = ("week", "source", "label", "step")


@click.command()
@one_of_the_loops
@click.option("--by", type=click.Choice(BY), help="Estimate each week, source, label, or step of the pipeline.")
@as_json_too
@with_settings
def accuracy(settings: Settings, loop: str | None, by: str | None, as_json: bool) -> None:
    """Estimate the error rates of the pipeline's labels, and of the champion's, over all outputs that came in.

    It uses answers that chance chose: of the lanes holdout, audit and control, and for the champion of the lane holdout
    alone, which never trains a version. Ranking chose the others, so their rate says nothing about all outputs. Where
    the interval is wide, it says about how many more answers are needed.
    """
    from backend.report.estimates.accuracy import accuracy_report
    from backend.report.parts import as_json as in_json_types
    from backend.report.steps import step_reports
    from labelloop.store.tables import loops

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec = loops.get(conn, name)
            if spec is None:
                raise UsageError(f"no loop {name!r}")
            steps = step_reports(conn, spec) if by == "step" else []
            found = accuracy_report(conn, name)
    if as_json:
        return print_json(in_json_types({**found, **({"steps": steps} if by == "step" else {})}))
    if steps:
        show([_step_line(step) for step in steps], as_json=False)
    elif by == "step":
        click.echo(f"No output of loop {name} names a step.")
    elif by:
        rows = [_part_line(by, row) for row in found["by"][by]]
        show(rows, as_json=False) if rows else click.echo(f"No output with a label has come to loop {name}.")
    else:
        more = [*found["champion_sentences"], *found["blind"]["sentences"]] if found["outputs"] else []
        click.echo("\n".join([*found["sentences"], *more]))


def _part_line(by: str, row: Mapping[str, Any]) -> dict[str, Any]:
    from backend.report.words import interval, percent

    line: dict[str, Any] = {by: row["part"] or "(none)"}
    for name, called in (("pipeline", ""), ("champion", "champion: ")):
        if (rate := row[name]) is not None:
            known = rate["value"] is not None
            line |= {
                f"{called}outputs": rate["outputs"],
                f"{called}answers by chance": rate["answers"],
                f"{called}incorrect, %": percent(rate["value"]) if known else None,
                f"{called}95 % CI": interval(rate) if known else None,
            }
    return line


def _step_line(step: Mapping[str, Any]) -> dict[str, Any]:
    from backend.report.words import interval, percent

    return {
        "step": step["step"] or "(none)",
        "outputs": step["outputs"],
        "answers by chance": step["answers"],
        "incorrect, %": percent(step["value"]) if step["value"] is not None else None,
        "95 % CI": interval(step) if step["value"] is not None else None,
        "reviewed": step["reviewed_outputs"],
        "corrected": step["corrections"],
        "rest on a corrected step": step["rests_on_correction"],
    }
