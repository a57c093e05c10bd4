"""`labelloop report accuracy`: the error rate of the pipeline over all outputs that came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from console.cli.output import print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings


@click.command()
@one_of_the_loops
@click.option("--by", type=click.Choice(["step"]), help="Estimate each step of the pipeline on its own.")
@as_json_too
@with_settings
def accuracy(settings: Settings, loop: str | None, by: str | None, as_json: bool) -> None:
    """Estimate the error rate of the pipeline's labels over all outputs that came in.

    It uses answers that chance chose: of the lanes holdout, audit and control. Ranking chose the others, so their rate
    says nothing about all outputs. Where the interval is wide, it says about how many more answers are needed.
    """
    from backend.report.error_rate import error_rate_report
    from backend.report.parts import as_json as in_json_types
    from backend.report.steps import step_reports
    from labelloop.store.tables import loops

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec = loops.get(conn, name)
            if spec is None:
                raise UsageError(f"no loop {name!r}")
            steps = step_reports(conn, spec) if by else []
            found = error_rate_report(conn, spec)
    if as_json:
        return print_json(in_json_types({"loop": name, **found, **({"steps": steps} if by else {})}))
    if steps:
        show([_step_line(step) for step in steps], as_json=False)
    elif by:
        click.echo(f"No output of loop {name} names a step.")
    else:
        click.echo("\n".join(found["sentences"]))


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
