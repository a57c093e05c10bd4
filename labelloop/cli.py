"""The door: `labelloop up | demo | submit | push | ...`; a command is a hop's name, and loads what it needs then."""

from __future__ import annotations

import functools
import json as jsonlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labelloop.errors import Failed, LabelloopError, Unreachable, UsageError
from labelloop.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labelloop.local.up import UpOptions
    from labelloop.spec import LoopSpec
    from labelloop.store.database import Database

Command = Callable[..., Any]


class _Door(click.Group):
    """Turns our errors into a sentence on stderr and an exit status: 1 it failed, 2 you asked wrongly."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LabelloopError as exc:
            click.echo(f"labelloop: {exc}", err=True)
            ctx.exit(2 if isinstance(exc, UsageError) else 1)


@click.group(cls=_Door, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="labelloop")
def main() -> None:
    """Closes the loop around Label Studio: uncertain outputs in, people's answers out, a better model back.

    Exit status: 0 done, 1 it failed, 2 it was asked wrongly.
    """


def _data_dir(command: Command) -> Command:
    """Adds --data-dir, which only moves the place where the settings are looked for."""

    @click.option("--data-dir", type=click.Path(path_type=Path), help="The folder of `labelloop up`  [.labelloop]")
    @functools.wraps(command)
    def wrapped(data_dir: Path | None, **kwargs: Any) -> Any:
        environ = dict(os.environ)
        if data_dir is not None:
            environ["LABELLOOP_DATA_DIR"] = str(data_dir)
        return command(settings=Settings.from_env(environ), **kwargs)

    return wrapped


_loop = click.option("--loop", help="Name of the loop; may be left out where there is only one.")
_loops = click.option("--loop", help="Name of the loop; all loops where none is named.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


# -- what starts things ------------------------------------------------------------------------------------------


def _up_options(command: Command) -> Command:
    """The options that `up` and `demo` share."""
    options = [
        click.option("--data-dir", type=click.Path(path_type=Path), help="Everything is kept here  [.labelloop]"),
        click.option("--loops-dir", type=click.Path(path_type=Path), help="One folder a loop  [labeling_configs]"),
        click.option("--database-url", help="A Postgres of your own, instead of the embedded one."),
        click.option("--label-studio-url", help="A Label Studio of your own, instead of ours."),
        click.option("--label-studio-token", help="Its token, personal or legacy (or LABELLOOP_LABEL_STUDIO_TOKEN)."),
        click.option("--port-base", type=click.IntRange(1024, 65_000), help="First port; free ones where not given."),
        click.option(
            "--postgres",
            type=click.Choice(["auto", "system", "wheel"]),
            help="Which embedded Postgres: the system's programs, or those of the wheel  [auto]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _up(logs_to_terminal: bool, **given: Any) -> UpOptions:
    from labelloop.local.up import UpOptions

    environ = dict(os.environ)
    if given["data_dir"] is not None:
        environ["LABELLOOP_DATA_DIR"] = str(given["data_dir"])
    said = {k: v for k, v in given.items() if v is not None}
    return UpOptions.from_env(environ, logs_to_terminal=logs_to_terminal, **said)


@main.command()
@_up_options
@_json
def up(as_json: bool, **given: Any) -> None:
    """Start Postgres, Label Studio, sync and backend, and keep them up until Ctrl-C."""
    from labelloop.local.up import up as start

    with start(_up(not as_json, **given), announce=_words) as running:
        if as_json:
            _print_json({"addresses": running.addresses, "data_dir": str(running.settings.data_dir)})
        running.wait()


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path(".labelloop"), show_default=True)
@click.option("--purge", is_flag=True, help="Remove the data folder too, with everything in it.")
def down(data_dir: Path, purge: bool) -> None:
    """End whatever an `up` that was killed has left behind."""
    from labelloop.local.up import down as stop

    stop(data_dir, purge=purge)


@main.command()
@click.option("--loop", default="digits", show_default=True, help="digits; or tickets, with --csv.")
@click.option("--people", type=click.IntRange(0, 20), default=3, show_default=True, help="Simulated; 0 waits for you.")
@click.option("--skill", type=click.FloatRange(0, 1), default=0.95, show_default=True, help="Share they get right.")
@click.option("--rounds", type=click.IntRange(1, 100), default=6, show_default=True)
@click.option("--per-round", type=click.IntRange(1, 1000), default=40, show_default=True, help="Answers a round.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--csv", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your own labelled texts.")
@click.option("--text", help="With --csv: the column of the text.")
@click.option("--label", help="With --csv: the column of the true label.")
@click.option("--exit", "leave", is_flag=True, help="Stop everything at the end instead of staying up.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here.")
@_up_options
def demo(
    loop: str,
    people: int,
    skill: float,
    rounds: int,
    per_round: int,
    seed: int,
    csv: Path | None,
    text: str | None,
    label: str | None,
    leave: bool,
    json_file: Path | None,
    **given: Any,
) -> None:
    """Close the loop on real input, with simulated people, and say honestly what it brought."""
    from labelloop.demo import DemoOptions, run

    options = DemoOptions(
        loop="tickets" if csv else loop,
        people=people,
        skill=skill,
        rounds=rounds,
        per_round=per_round,
        seed=seed,
        csv=csv,
        text=text,
        label=label,
        leave=leave,
        json_file=json_file,
    )
    run(options, _up(False, **given))


# -- one hop at a time -------------------------------------------------------------------------------------------


@main.command()
@click.argument("file", type=click.File("rb"))
@_loop
@_json
@_data_dir
def submit(settings: Settings, file: Any, loop: str | None, as_json: bool) -> None:
    """Submit the outputs in FILE (one JSON object a line; - for standard input). Twice is once."""
    from labelloop.client import Client

    settings.require("sync_url", "intake_token")
    with Client(settings.sync_url, settings.intake_token) as client:
        receipt = client.submit_lines(file, loop=loop)
    _print({"new": receipt.new, "known": receipt.known}, as_json)


@main.command()
@_loops
@_json
@_data_dir
def push(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Fill the window in Label Studio with the most useful outputs, now."""
    from sync.push import push as hop

    _each_loop(settings, loop, as_json, lambda db, gateway, spec: hop(db, gateway, spec, settings))


@main.command()
@_loops
@click.option("--full", is_flag=True, help="Look at every task, not only at those that changed.")
@_json
@_data_dir
def pull(settings: Settings, loop: str | None, full: bool, as_json: bool) -> None:
    """Read back what people answered in Label Studio, now."""
    from sync.pull import pull as hop

    _each_loop(settings, loop, as_json, lambda db, gateway, spec: hop(db, gateway, spec, full=full))


@main.command()
@_loop
@click.option("--why", default="asked for on the command line", show_default=True)
@click.option("--wait", is_flag=True, help="Wait for the verdict.")
@_json
@_data_dir
def retrain(settings: Settings, loop: str | None, why: str, wait: bool, as_json: bool) -> None:
    """Ask the backend to train a challenger and to judge it."""
    from labelloop.store import jobs, runs

    with _database(settings) as db:
        name = _one_loop(db, loop)
        with db.transaction() as conn:
            run = runs.request(conn, name, why)
            jobs.ask(conn, jobs.RETRAIN, name)
        if not wait:
            said = "folded into the run that is open already" if run is None else str(run)
            return _print({"loop": name, "run": said}, as_json)
        done = _wait_for_verdict(db, name)
    _print({k: done[k] for k in ("id", "status", "reasons", "error")}, as_json)
    if done["status"] == "failed":
        raise Failed(f"the run failed: {done['error']}")


@main.command()
@click.argument("version")
@_loop
@click.option("--why", required=True, help="The reason, for the record.")
@click.option("--by", default=lambda: os.environ.get("USER", "somebody"), help="Who decides.")
@_json
@_data_dir
def promote(settings: Settings, version: str, loop: str | None, why: str, by: str, as_json: bool) -> None:
    """Make VERSION (its id, or the first characters of it) the champion."""
    from backend.promote import promote as hop

    with _database(settings) as db:
        done = hop(db, _one_loop(db, loop), version, by=by, why=why, models_dir=settings.models_dir)
    _print(_plain(done), as_json)


@main.command()
@_loop
@click.option("--to", help="An earlier version; the one before the champion where none is named.")
@click.option("--why", required=True, help="The reason, for the record.")
@click.option("--by", default=lambda: os.environ.get("USER", "somebody"), help="Who decides.")
@_json
@_data_dir
def rollback(settings: Settings, loop: str | None, to: str | None, why: str, by: str, as_json: bool) -> None:
    """Go back to an earlier champion."""
    from backend.promote import rollback as hop

    with _database(settings) as db:
        done = hop(db, _one_loop(db, loop), by=by, why=why, to=to, models_dir=settings.models_dir)
    _print(_plain(done), as_json)


# -- looking -----------------------------------------------------------------------------------------------------


@main.command()
@_loop
@_json
@_data_dir
def versions(settings: Settings, loop: str | None, as_json: bool) -> None:
    """The model versions of a loop, newest first."""
    from labelloop.store import versions as store

    with _database(settings) as db, db.transaction() as conn:
        rows = store.list_(conn, _one_loop(db, loop))
    _print([_plain(row) for row in rows], as_json)


@main.command()
@_loops
@_json
@_data_dir
def status(settings: Settings, loop: str | None, as_json: bool) -> None:
    """What waits, what people have, what they answered, and who serves."""
    from labelloop.store import outputs, runs
    from labelloop.store import versions as version_store

    rows = []
    with _database(settings) as db, db.transaction() as conn:
        for name in _loop_names(db, loop):
            champion = version_store.champion(conn, name)
            latest = runs.latest(conn, name, 1)
            rows.append(
                {
                    "loop": name,
                    **outputs.state_counts(conn, name),
                    "champion": champion["id"][:12] if champion else "pipeline",
                    "last_run": latest[0]["status"] if latest else None,
                }
            )
    _print(rows, as_json)


@main.command()
@_json
@_data_dir
def settings(settings: Settings, as_json: bool) -> None:
    """The settings in force, secrets hidden; each comes from LABELLOOP_ and its name in capitals."""
    _print(settings.shown(), as_json)


@main.command()
@_json
@_data_dir
def migrate(settings: Settings, as_json: bool) -> None:
    """Bring the database to the newest schema and register the loops of the loops folder. Twice is once."""
    from labelloop.spec import load
    from labelloop.store import loops
    from labelloop.store.migrate import migrate as apply

    settings.require("database_url")
    specs = [load(p.parent) for p in sorted(settings.loops_dir.glob("*/loop.yaml"))]
    applied = apply(settings.database_url)
    with _database(settings) as db, db.transaction() as conn:
        for spec in specs:
            loops.register(conn, spec)
    _print({"applied": applied, "loops": [spec.name for spec in specs]}, as_json)


# -- helpers -----------------------------------------------------------------------------------------------------


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    from labelloop.store.database import Database

    settings.require("database_url")
    with Database(settings.database_url, size=2) as db:
        yield db


def _loop_names(db: Database, loop: str | None) -> list[str]:
    from labelloop.store import loops

    with db.transaction() as conn:
        names = loops.names(conn)
    if loop is not None and loop not in names:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    return names if loop is None else [loop]


def _one_loop(db: Database, loop: str | None) -> str:
    names = _loop_names(db, loop)
    if len(names) != 1:
        raise UsageError(f"say which loop with --loop; there are: {', '.join(names) or 'none'}")
    return names[0]


def _each_loop(
    settings: Settings, loop: str | None, as_json: bool, hop: Callable[[Database, Any, LoopSpec], object]
) -> None:
    from labelloop.labelstudio.gateway import Gateway
    from labelloop.store import loops

    settings.require("label_studio_url", "label_studio_token")
    rows = []
    with _database(settings) as db:
        gateway = Gateway(settings.label_studio_url, settings.label_studio_token)
        for name in _loop_names(db, loop):
            with db.transaction() as conn:
                spec = loops.get(conn, name)
            if spec is not None:
                rows.append({"loop": name, **_plain(hop(db, gateway, spec))})
    _print(rows, as_json)


def _wait_for_verdict(db: Database, loop: str) -> Mapping[str, Any]:
    import time

    from labelloop.store import runs

    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        with db.transaction() as conn:
            latest = runs.latest(conn, loop, 1)
        if latest and latest[0]["status"] not in ("queued", "running"):
            return latest[0]
        time.sleep(0.5)
    raise Unreachable("no verdict within 15 minutes: is the backend's worker running?")


def _plain(value: Any) -> dict[str, Any]:
    """A row or a report as a dict."""
    from dataclasses import asdict, is_dataclass

    if value is None:
        return {}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def _words(text: str) -> None:
    """Words for people go to stderr, so that stdout stays for programs."""
    click.echo(text, err=True)


def _print_json(value: object) -> None:
    click.echo(jsonlib.dumps(value, default=str, indent=2))
    sys.stdout.flush()


def _print(value: Mapping[str, Any] | Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        return _print_json(value)
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
    Console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return ", ".join(map(str, value)) or "-"


if __name__ == "__main__":
    main()
