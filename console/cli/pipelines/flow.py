"""The command import a2i: a flow definition of Amazon A2I as the trigger of a loop."""

from __future__ import annotations

from pathlib import Path

import click

from console.cli.output import to_stderr
from labelloop.errors import Failed
from labelloop.reading.texts import counted


@click.command(short_help="a flow definition of Amazon A2I, as the trigger of a loop")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="loop.yaml whose trigger and audit are replaced  [print them]",
)
def a2i(file: Path, into: Path | None) -> None:
    """Turn the activation conditions of an Amazon A2I flow definition into the trigger of a loop.

    Each condition that a trigger cannot say is named with the reason, and the exit status is then 1. The file of --into
    is changed only if the loop can have the rule.
    """
    from console.files.flows import refuse, rule_in, trigger_in, written
    from labelloop.outputs.formats.a2i import KEY_FIELD, WORD_FIELD

    rule = rule_in(file)
    text = written(rule, into)
    if into is None:
        click.echo(text, nl=False)
    elif rule.trigger is None and rule.audit is None:
        to_stderr(f"{into} is left as it is: no condition of the flow can be expressed")
    else:
        refuse(text, into)
        before = trigger_in(into)
        into.write_text(text, encoding="utf-8")
        if rule.trigger is None:
            to_stderr(f"{into} has the audit of the flow, and its own trigger as before")
        else:
            to_stderr(
                f"{into} has the trigger of the flow, in place of: {before}\n`labelloop migrate` puts it in force"
            )
    if rule.trigger is not None and (KEY_FIELD in rule.trigger or WORD_FIELD in rule.trigger):
        to_stderr(
            f"it reads {KEY_FIELD} and {WORD_FIELD}: submit each pair of a key and a value as an output with these "
            "fields"
        )
    for place, why in rule.left_out:
        to_stderr(f"left out: {place}: {why}")
    if rule.left_out:
        raise Failed(f"{counted(len(rule.left_out), 'condition')} cannot be expressed")
