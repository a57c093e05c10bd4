"""The commands that try a rule: try, backtest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import print_json, show, to_stderr
from console.cli.pipelines.source import options, source_of
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import Failed, UsageError
from labelloop.process.settings import Settings
from labelloop.reading.moments import moment
from labelloop.reading.texts import counted

if TYPE_CHECKING:
    from console.files.lines import Line
    from labelloop.spec.loop import LoopSpec
    from sync.intake.trying import Tried

SIDES = ("was", "would")
NO_BUDGET = "the budget is not applied: it decides at each push, among all outputs that wait"
MOST_SHOWN = 20
"""Labels or sources in one table."""


@click.command("try", short_help="Tell which outputs of a file would be asked, and why.")
@click.argument("file")
@options(["otlp", "openai"], "FILE holds traces or chat completions.")
@click.option("--loop", help="Name of the loop; not needed if the loops folder has only one.")
@as_json_too
@with_settings
def try_(
    settings: Settings,
    file: str,
    maps: tuple[str, ...],
    kind: str | None,
    label: str,
    encoding: str | None,
    loop: str | None,
    as_json: bool,
    **of_openai: str | None,
) -> None:
    """Tell for each output in FILE whether people would be asked, in which lane, and why. Nothing is stored.

    FILE and its options are those of `labelloop submit`: NDJSON, CSV, TSV or Parquet, also with .gz; - is standard
    input. The rule is that of the loop's folder, so neither a server nor a database is needed. Exit status 1 if a line
    would be refused.
    """
    loop_spec = _from_disk(settings, loop)
    lines = source_of(file, maps, kind, label, encoding, of_openai, lambda: loop_spec.labels).lines()
    rows = _tried(loop_spec, lines)
    told = [asdict(row) for row in rows]
    if loop_spec.accept is None:
        for row in told:
            del row["only_without_certificate"]
    show(told, as_json)
    refused = sum(row.lane is None for row in rows)
    to_stderr(f"{sum(row.asked for row in rows)} of {counted(len(rows), 'output')} would be asked")
    if open_ := sum(row.only_without_certificate for row in rows):
        to_stderr(f"{open_} of them only as long as no certificate covers them, see `labelloop report threshold`")
    if loop_spec.budget is not None:
        to_stderr(NO_BUDGET)
    if refused:
        raise Failed(f"{refused} of {counted(len(rows), 'line')} would be refused")


@click.command(short_help="Tell what a changed rule would have sent.")
@click.option(
    "--spec",
    "file",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="The changed rule: a loop's folder, or a file like its loop.yaml.",
)
@click.option("--since", help="Only outputs since this day (2026-01-31), time, or for so long (12h, 30d, 8w)  [all]")
@one_of_the_loops
@as_json_too
@with_settings
def backtest(settings: Settings, file: Path, since: str | None, loop: str | None, as_json: bool) -> None:
    """Tell what a changed rule, with its shares, would have sent of the stored outputs. Nothing is changed.

    It shows how many people would have been asked, by lane, label and source, the load a day, and about how many errors
    nobody would have seen. The same outputs come to the same lanes if they are submitted under this rule.
    With a budget, it shows how many of them would have become tasks on each day, waited or passed.
    """
    from backend.report.backtest import backtest_report
    from backend.report.parts import as_json as in_json_types
    from labelloop.store.tables import loops

    begins = None if since is None else moment("--since", since, datetime.now(UTC))
    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            in_force = loops.get(conn, name)
            if in_force is None:
                raise UsageError(f"no loop {name!r}")
            changed = _changed(file, in_force)
            found = backtest_report(conn, in_force, changed, begins)
    if as_json:
        return print_json(in_json_types(found))
    _show_backtest(found)


def _tried(loop_spec: LoopSpec, lines: Iterable[Line]) -> list[Tried]:
    """Return what the intake would do with each line, and the reason for a line that `submit` would not send."""
    from console.files.lines import Refused
    from sync.intake.trying import Tried, tried

    refused: list[Tried] = []

    def sent() -> Iterator[tuple[int, bytes]]:
        for number, line in lines:
            if isinstance(line, Refused):
                why = f"refused: {f'{line.field}: ' if line.field else ''}{line.message}"
                refused.append(Tried(number, line.key, False, None, None, None, why))
            else:
                yield number, line

    return sorted([*tried(loop_spec, sent()), *refused], key=lambda row: row.line)


def _changed(file: Path, in_force: LoopSpec) -> LoopSpec:
    """Return the changed spec of this loop. A file that is not in a loop's folder goes with the form in force.

    Raises UsageError with every mistake.
    """
    from labelloop.spec.mistakes import examine

    text = file / "loop.yaml" if file.is_dir() else file
    form = text.parent / "labels.xml"
    try:
        if text.name == "loop.yaml":
            labels_xml = form.read_text(encoding="utf-8-sig") if form.exists() else ""
        else:
            generated = in_force.with_labels(in_force.labels).labels_xml
            labels_xml = "" if generated == in_force.labels_xml else in_force.labels_xml
        found = examine(in_force.name, text.read_text(encoding="utf-8-sig"), labels_xml)
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{text} cannot be read: {exc}") from exc
    if found.spec is None:
        raise UsageError("\n".join([f"{text} has {counted(len(found.faults), 'mistake')}:", *map(str, found.faults)]))
    return found.spec


def _show_backtest(found: Mapping[str, Any]) -> None:
    """Print the report in words and tables."""
    total, asked, load, passed = (found[name] for name in ("outputs", "asked", "load", "passed"))
    click.echo(f"{asked['was']:,} of {counted(total, 'stored output')} were asked, and {asked['would']:,} would be.")
    click.echo(f"{found['newly']:,} more would be asked, and {found['no_longer']:,} of those asked would not.")
    if found["accepted"]["was"]:
        click.echo(f"{found['accepted']['was']:,} of those that were asked passed unseen by a certificate.")
    if found["accepted"]["would"]:
        click.echo(
            f"{found['accepted']['would']:,} of those that would be asked are asked only as long as no certificate "
            "covers them."
        )
    if found["refused"]:
        click.echo(f"{counted(found['refused'], 'output')} would be refused, and are in no other number.")
    if found["repeats"]:
        click.echo(f"{counted(found['repeats'], 'output')} had the answer of an earlier one with the same content.")
    click.echo()
    rows = [{"asked": lane, **numbers} for lane, numbers in found["lanes"].items() if any(numbers.values())]
    rows += [{"asked": f"a day ({key})", **_of_load(load, key)} for key in ("mean", "busiest")]
    rows.append({"asked": "errors passed", **{side: _errors(passed[side]) for side in SIDES}})
    show(rows, as_json=False)
    for what, names in (("label", found["labels"]), ("source", found["sources"])):
        if any(row["name"] is not None for row in names):
            click.echo()
            show([{f"asked by {what}": row["name"], **_sides(row)} for row in names[:MOST_SHOWN]], as_json=False)
            if len(names) > MOST_SHOWN:
                click.echo(f"and {len(names) - MOST_SHOWN} more: --json has all")
    if found["budget"] is not None:
        _show_budget(found["budget"])


def _show_budget(found: Mapping[str, Any]) -> None:
    """Print what the budget makes of the outputs that the rule sends."""
    click.echo(
        f"\nThe budget makes {counted(found['tasks'], 'task')} of the {found['sent']:,} that the rule sends. "
        f"{found['waiting']:,} wait at the end, and {found['passed']:,} pass."
    )
    fates = ("sent", "tasks", "waiting", "passed")
    for what, names in (("day", found["days"]), ("source", found.get("sources")), ("label", found.get("labels"))):
        if names:
            click.echo()
            last = names[-MOST_SHOWN:] if what == "day" else names[:MOST_SHOWN]
            key = "day" if what == "day" else "name"
            show([{f"by {what}": row[key], **{fate: row[fate] for fate in fates}} for row in last], as_json=False)
            if len(names) > MOST_SHOWN:
                click.echo(
                    f"and {len(names) - MOST_SHOWN} {'earlier days' if what == 'day' else 'more'}: --json has all"
                )


def _sides(row: Mapping[str, Any]) -> dict[str, Any]:
    return {side: row[side] for side in SIDES}


def _of_load(load: Mapping[str, Any], key: str) -> dict[str, str]:
    return {side: f"{load[side][key]:,.1f}" if key == "mean" else f"{load[side][key]:,}" for side in SIDES}


def _errors(passed: Mapping[str, Any]) -> str:
    of = f"of {passed['labelled']:,}"
    if passed["errors"] is None:
        return f"not known {of}: too few answers that chance chose"
    return f"about {passed['errors']:,.0f} (95 % CI {passed['low']:,.0f} to {passed['high']:,.0f}) {of}"


def _from_disk(settings: Settings, loop: str | None) -> LoopSpec:
    """Return the spec in the loops folder. Raises UsageError if it has no such loop, SpecError for a mistake in it."""
    from labelloop.reading.nearest import did_you_mean, some
    from labelloop.spec.folder import load

    names = sorted(file.parent.name for file in settings.loops_dir.glob("*/loop.yaml"))
    if loop is None and len(names) != 1:
        raise UsageError(f"name a loop with --loop; {some(names) if names else f'{settings.loops_dir} has none'}")
    if loop is not None and loop not in names:
        raise UsageError(f"no loop {loop!r} in {settings.loops_dir}{did_you_mean(loop, names)}; {some(names)}")
    return load(settings.loops_dir / (loop or names[0]))


COMMANDS = (try_, backtest)
