"""The command that names the query strategies."""

from __future__ import annotations

import click

from console.cli.door import as_json_too
from console.cli.shown import show


@click.command()
@as_json_too
def strategies(as_json: bool) -> None:
    """The query strategies for `queue.strategy` in loop.yaml: what each reads, and what it asks for first."""
    from labelloop.strategies import REGISTRY

    known = REGISTRY.values()
    if as_json:
        show([{"name": o.name, "kind": o.kind.value, "reads": o.reads, "line": o.line} for o in known], as_json)
    else:
        show([{"name": o.name, "kind": o.kind.value, "asks first where": o.line} for o in known], as_json)


COMMANDS = (strategies,)
