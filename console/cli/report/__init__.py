"""`labelloop report ...`: estimates about a loop, each with its interval; one file a command."""

from __future__ import annotations

import click

from console.cli.report import accuracy, judge, opinions, progress, threshold


@click.group()
def report() -> None:
    """Estimate what a loop's models and answers are worth, each figure with its 95 % interval."""


for command in (accuracy.accuracy, judge.judge, opinions.opinions, progress.progress, threshold.threshold):
    report.add_command(command)
COMMANDS = (report,)
