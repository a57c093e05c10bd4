"""`labelloop report ...`: estimates about a loop, each with its interval; one file a command."""

from __future__ import annotations

import click

from console.cli.report import accuracy, judge, threshold


@click.group()
def report() -> None:
    """Estimate what a loop's models are worth, each figure with its 95 % interval."""


for command in (accuracy.accuracy, judge.judge, threshold.threshold):
    report.add_command(command)
COMMANDS = (report,)
