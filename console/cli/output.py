"""Printing: tables or JSON on stdout, messages on stderr."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LONGEST_UNWRAPPED = 30
"""Characters up to which a cell is never wrapped. A longer cell of several words wraps at this width or wider."""
UNBOUNDED = 100_000
"""Width of the output when stdout is not a terminal, so that no row wraps in a file or a pipe."""


def plain(value: Any) -> dict[str, Any]:
    """Return a row or a report as a dict; {} for None."""
    from dataclasses import asdict, is_dataclass

    if value is None:
        return {}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def to_stderr(text: str) -> None:
    """Print a message to stderr; stdout is for results.

    Looks up sys.stderr at each call: a progress bar replaces it, so that messages appear above the bar.
    """
    print(text, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    click.echo(jsonlib.dumps(value, default=str, indent=2))
    sys.stdout.flush()


def show(value: Mapping[str, Any] | Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print a report as pairs, or rows as a table; with `as_json` as JSON."""
    if as_json:
        return print_json(value)
    if not value:
        return click.echo("none")
    if isinstance(value, Mapping):
        return _print(a_console(), _pairs(value))
    _print_rows([{name: _cell(field) for name, field in row.items()} for row in value])


def _print_rows(rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows as a table; if it is too wide for the terminal, print each row as pairs."""
    from rich.cells import cell_len  # a Chinese character is two columns wide

    console = a_console()
    widest = {name: max(cell_len(name), *(cell_len(row[name]) for row in rows)) for name in rows[0]}
    wraps = {
        name for name in widest if any(cell_len(row[name]) > LONGEST_UNWRAPPED and " " in row[name] for row in rows)
    }
    least = sum(LONGEST_UNWRAPPED if name in wraps else width for name, width in widest.items()) + 2 * len(widest) - 2
    if least > console.width:
        for row in rows:
            _print(console, _pairs(row))
            click.echo()
        return
    table = _table()
    for name in widest:
        table.add_column(name, no_wrap=name not in wraps, min_width=LONGEST_UNWRAPPED if name in wraps else None)
    for row in rows:
        table.add_row(*row.values())
    _print(console, table)


def _print(console: Console, table: Table) -> None:
    if console.is_terminal:
        return console.print(table)
    with console.capture() as captured:  # to strip the blanks that fill the last column
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def a_console(least: int = 0) -> Console:
    """Return a console as wide as the terminal but at least `least` columns; if stdout is no terminal, rows never wrap.

    Markup and emoji codes are off, because cells hold text of users.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    console.width = max(least, console.width if console.is_terminal else UNBOUNDED)
    return console


def _pairs(value: Mapping[str, Any]) -> Table:
    table = _table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, field in value.items():
        table.add_row(name, _cell(field))
    return table


def _table(**how: Any) -> Table:
    from rich.table import Table

    return Table(box=None, header_style="bold", pad_edge=False, **how)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(field)}" for name, field in value.items()) or "-"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return ", ".join(map(str, value)) or "-"


def accuracy_words(found: Mapping[str, Any] | None) -> str | None:
    if not found or found.get("accuracy") is None:
        return None
    return f"{percent_words(found['accuracy'])} ({percent_words(found['low'])} to {percent_words(found['high'])})"


def percent_words(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"


def gain_words(gain: Mapping[str, Any] | None) -> str | None:
    if not gain or gain.get("value") is None:
        return None
    words = f"{100 * gain['value']:+.1f} points"
    if gain.get("low") is None or gain.get("high") is None:
        return words
    return f"{words} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
