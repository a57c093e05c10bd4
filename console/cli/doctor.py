"""The command that finds faults: doctor."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from console.cli.output import print_json
from console.cli.wrappers import all_or_one, as_json_too, with_settings
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from console.doctor import Finding


@click.command()
@all_or_one
@click.option(
    "--label-studio-database",
    default="",
    envvar="LABELLOOP_LABEL_STUDIO_DATABASE",
    help="URL of Label Studio's own Postgres database, needed by the check `members` only.",
)
@click.option("--media", is_flag=True, help="Only look at what the addresses in outputs name, as browsers would.")
@click.option(
    "--sample",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="With --media: how many open tasks, waiting outputs and held outputs of each loop.",
)
@click.option("--deep", is_flag=True, help="Also compare all stored data with Label Studio, the models and each other.")
@click.option(
    "--settle",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="With --deep: a difference that work in progress can make counts if it stays this long; 0 only lists it.",
)
@click.option("--fix", type=click.Choice(["safe"]), help="First repair what needs no decision of people; then --deep.")
@as_json_too
@with_settings
def doctor(
    settings: Settings,
    loop: str | None,
    label_studio_database: str,
    media: bool,
    sample: int,
    deep: bool,
    settle: float,
    fix: str | None,
    as_json: bool,
) -> None:
    """Find faults. For each, print why it matters and the command that repairs it. Changes nothing without --fix.

    --media looks at pictures, sounds, videos and files: which of them annotators' browsers cannot read, and why.

    --deep checks the invariants of the data. It is safe while everything is at work.

    Exit status: 0 no fault, 1 at least one fault, 2 no fault found but some checks could not run.
    """
    from console.doctor import examine, examine_deep, examine_media, exit_status, fix_safe, summary

    fixed: list[str] = []
    if media:
        findings = examine_media(settings, loop, sample)
    else:
        fixed = fix_safe(settings, loop) if fix else []
        findings = examine(settings, loop, label_studio_database=label_studio_database)
        findings += examine_deep(settings, loop, settle) if deep or fix else []
    status = exit_status(findings)
    if as_json:
        print_json(
            {"status": status, "summary": summary(findings), "fixed": fixed, "findings": [asdict(f) for f in findings]}
        )
    else:
        for done in fixed:
            click.echo(f"{'fixed':<8} {done}")
        for finding in findings:
            click.echo(_shown(finding))
        click.echo(summary(findings))
    click.get_current_context().exit(status)


def _shown(finding: Finding) -> str:
    about = finding.check if finding.loop is None else f"{finding.loop}: {finding.check}"
    lines = [f"{finding.level.upper() if finding.level == 'fault' else finding.level:<8} {about}: {finding.says}"]
    named = (("why", finding.why), ("look", finding.look), ("repair", finding.repair))
    lines += [f"{'':<8} {name}: {text}" for name, text in named if text]
    return "\n".join(lines)


COMMANDS = (doctor,)
