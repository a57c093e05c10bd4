"""The options of the commands that read a file of outputs, and the file that they describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        click.option("--requests", help="With --from openai: input file of the batch, which has the questions."),
        click.option("--json-field", help="With --from openai: field of the JSON answer that has the label."),
        click.option(
            "--otherwise", help="With --from openai: label of a completion that names none, for people to see."
        ),
        click.option("--encoding", help="Encoding of FILE, such as cp1252  [its byte order mark, else UTF-8]"),
    )

    def add(command: Command) -> Command:
        for option in reversed(added):
            command = option(command)
        return command

    return add


def source_of(
    file: str | None,
    maps: tuple[str, ...],
    kind: str | None,
    label: str,
    encoding: str | None,
    of_openai: Mapping[str, str | None],
    labels: Callable[[], Sequence[str]],
) -> Source:
    """Return the file as these options describe it. Raises UsageError for options that do not fit together.

    `of_openai` are the options requests, json_field and otherwise; `labels` returns the labels of the loop's form.
    """
    from console.files.completions import Completions, requests_in
    from console.files.lines import Source
    from labelloop.outputs.columns import read_map

    check_openai(kind, of_openai)
    if kind is not None and maps:
        kinds = "completions" if kind == "openai" else "traces"
        raise UsageError(f"--map is for tables and NDJSON; {kinds} have no columns")
    if file is None:
        raise UsageError("name a FILE; - is standard input")
    how = None
    if kind == "openai":
        requests, otherwise = of_openai["requests"], of_openai["otherwise"]
        if not (known := labels()):
            raise UsageError("--from openai needs a form with labels, and this loop has none")
        if otherwise is not None and otherwise not in known:
            raise UsageError(
                f"--otherwise is {otherwise!r}, which the form does not have; there are: {', '.join(known)}"
            )
        asked = {} if requests is None else requests_in(requests, encoding)
        how = Completions(known, label, of_openai["json_field"], otherwise, asked)
    return Source(file, encoding, read_map(maps), otlp_label=label if kind == "otlp" else None, completions=how)


def check_openai(kind: str | None, given: Mapping[str, str | None]) -> None:
    """Raise UsageError if options of --from openai are given with another kind of file."""
    if kind != "openai" and (others := [name for name, value in given.items() if value is not None]):
        raise UsageError(f"--{others[0].replace('_', '-')} needs --from openai")
