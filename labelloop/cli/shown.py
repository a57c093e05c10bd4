"""How commands print: tables for people, JSON for programs on stdout, words on stderr."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click


def plain(value: Any) -> dict[str, Any]:
    """A row or a report as a dict."""
    from dataclasses import asdict, is_dataclass

    if value is None:
        return {}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def to_stderr(text: str) -> None:
    """Words for people go to stderr, so that stdout stays for programs."""
    click.echo(text, err=True)


def print_json(value: object) -> None:
    click.echo(jsonlib.dumps(value, default=str, indent=2))
    sys.stdout.flush()


def show(value: Mapping[str, Any] | Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        return print_json(value)
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    if isinstance(value, Mapping):
        table.show_header = False
        for name, field in value.items():
            table.add_row(name, _cell(field))
    elif value:
        for name in value[0]:
            table.add_column(name)
        for row in value:
            table.add_row(*(_cell(field) for field in row.values()))
    else:
        return click.echo("none")
    console = Console(highlight=False, markup=False, emoji=False)  # text of others is text
    if not isinstance(value, Mapping) and console.measure(table).maximum > console.width:
        table = Table(box=None, show_header=False, pad_edge=False)
        for row in value:
            for name, field in row.items():
                table.add_row(name, _cell(field))
            table.add_row()
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return ", ".join(map(str, value)) or "-"
