"""The command line: `labelloop up | demo | submit | push | ...`. Each command imports its modules when it runs."""

from __future__ import annotations

import click

from console.cli import (
    completion,
    decisions,
    doctor,
    invite,
    people,
    report,
    runs,
    start,
    status,
    strategies,
    training,
    versions,
)
from console.cli.adopting import commands as adopting
from console.cli.pipelines import (
    alerts,
    callbacks,
    consume,
    imports,
    init,
    labels,
    outbox,
    rule,
    specs,
    tokens,
    transfer,
)
from console.cli.record import audit, backup, forget, lineage, loops
from console.cli.wrappers import CommandGroup


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="labelloop")
def main() -> None:
    """Send uncertain model outputs to Label Studio, collect the answers, and train better models on them.

    Exit status: 0 success, 1 failure, 2 usage error.
    """


TOPICS = (
    adopting,
    alerts,
    audit,
    backup,
    callbacks,
    completion,
    consume,
    decisions,
    doctor,
    forget,
    imports,
    init,
    invite,
    labels,
    lineage,
    loops,
    outbox,
    people,
    report,
    rule,
    specs,
    runs,
    start,
    status,
    strategies,
    tokens,
    training,
    transfer,
    versions,
)
for topic in TOPICS:
    for command in topic.COMMANDS:
        main.add_command(command)
