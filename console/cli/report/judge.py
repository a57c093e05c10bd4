"""`labelloop report judge`: whether the verdicts of a loop's outputs may be believed."""

from __future__ import annotations

import click

from console.cli.output import print_json
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.process.settings import Settings


@click.command()
@one_of_the_loops
@click.option("--model-version", help="Version of the judge; that of the newest output if it is left out.")
@click.option("--check", is_flag=True, help="Exit with status 1 unless the judge is certified.")
@as_json_too
@with_settings
def judge(settings: Settings, loop: str | None, model_version: str | None, check: bool, as_json: bool) -> None:
    """Compare a judge's verdicts with people's blind answers, and certify the judge if both rates exceed the floor.

    The loop's outputs are the verdicts of a judge, such as a language model. The key `judge: {positive: pass}` of
    loop.yaml says which label is positive.

    Only answers count that chance chose, and that people gave without seeing the verdict.

    The certificate is decided at planned numbers of answers, and the report says at which the next look is. So it does
    not matter how often you run this: a judge whose rate is below the floor is certified in at most 5 % of cases.
    """
    from backend.report.estimates.judge import judge_report
    from backend.report.parts import as_json as in_json_types

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            found = judge_report(conn, name, model_version)
    if as_json:
        print_json(in_json_types(found))
    else:
        click.echo("\n".join(found["sentences"]))
    if check and found["status"] != "certified":
        raise click.exceptions.Exit(1)
