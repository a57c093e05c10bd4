"""The options of the commands that read a file of outputs, and the file that they describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labelloop.errors import UsageError

if TYPE_CHECKING:
    from console.files.lines import Source

Command = TypeVar("Command", bound=Callable[..., Any])


def options(kinds: list[str], help_: str) -> Callable[[Command], Command]:
    """Return a decorator that adds --map, --from with these kinds, --label and --encoding."""
    added = (
        click.option(
            "--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="Column of a field, such as data.text=body."
        ),
        click.option("--from", "kind", type=click.Choice(kinds), help=help_),
        click.option(
            "--label", default="approve", show_default=True, help="With --from: label that each answer is given."
        ),
        click.option("--encoding", help="Encoding of FILE, such as cp1252  [its byte order mark, else UTF-8]"),
    )

    def add(command: Command) -> Command:
        for option in reversed(added):
            command = option(command)
        return command

    return add


def source_of(file: str | None, maps: tuple[str, ...], kind: str | None, label: str, encoding: str | None) -> Source:
    """Return the file as these options describe it. Raises UsageError for options that do not fit together."""
    from console.files.lines import Source
    from labelloop.outputs.columns import read_map

    if kind is not None and maps:
        raise UsageError("--map is for tables and NDJSON; traces have no columns")
    if file is None:
        raise UsageError("name a FILE; - is standard input")
    return Source(file, encoding, read_map(maps), otlp_label=label if kind == "otlp" else None)
