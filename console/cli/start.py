"""The commands that start and stop the services: up, down, demo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.data_folder import found_data_dir, given_data_dir
from console.cli.output import print_json, to_stderr
from console.cli.progress import progress
from console.cli.wrappers import Command, as_json_too
from labelloop.errors import UsageError

if TYPE_CHECKING:
    from console.local.up import UpOptions


def up_options(command: Command) -> Command:
    """Add the options that `up` and `demo` share."""
    options = [
        click.option("--data-dir", type=click.Path(path_type=Path), help="Folder for all data and logs  [.labelloop]"),
        click.option(
            "--loops-dir", type=click.Path(path_type=Path), help="Folder with one folder per loop  [labeling_configs]"
        ),
        click.option("--database-url", help="URL of your own Postgres, instead of the embedded one."),
        click.option("--label-studio-url", help="URL of your own Label Studio, instead of the embedded one."),
        click.option(
            "--label-studio-token",
            help="Token of your Label Studio, personal or legacy (or LABELLOOP_LABEL_STUDIO_TOKEN).",
        ),
        click.option(
            "--port-base", type=click.IntRange(1024, 65_000), help="First port; if not given, free ports are chosen."
        ),
        click.option(
            "--postgres",
            type=click.Choice(["auto", "system", "wheel"]),
            help="Programs of the embedded Postgres: the system's or those of the wheel  [auto]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _up(**given: Any) -> UpOptions:
    from console.local.up import UpOptions

    environ = dict(os.environ)
    if given["data_dir"] is not None:
        environ["LABELLOOP_DATA_DIR"] = str(given["data_dir"])
    return UpOptions.from_env(environ, **{k: v for k, v in given.items() if v is not None})


@click.command()
@up_options
@as_json_too
def up(as_json: bool, **given: Any) -> None:
    """Start Postgres, Label Studio, sync and backend, and keep them running until Ctrl-C.

    Each change of state is one line in the terminal. The logs are in the folder `logs` of the data folder.
    """
    from console.local.up import up as start

    with start(_up(**given), announce=to_stderr, progress=progress) as running:
        if as_json:
            print_json({"addresses": running.addresses, "data_dir": str(running.settings.data_dir)})
        running.wait(to_stderr)


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Data folder of the `up` to stop  [the last one]")
@click.option("--purge", is_flag=True, help="Delete the data folder too, with everything in it.")
def down(data_dir: Path | None, purge: bool) -> None:
    """Stop a running `up`, or processes that a killed `up` left behind."""
    from console.local.up import down as stop

    named = data_dir or given_data_dir(os.environ)
    if named is None and purge:
        raise UsageError("--purge deletes a folder with everything in it: name the folder with --data-dir")
    stop(named or found_data_dir(os.environ), purge=purge, announce=to_stderr)


@click.command()
@click.option("--loop", default="digits", show_default=True, help="`digits`, or `tickets` with --csv.")
@click.option(
    "--people",
    type=click.IntRange(0, 20),
    default=3,
    show_default=True,
    help="Simulated annotators; with 0 you answer.",
)
@click.option(
    "--skill",
    type=click.FloatRange(0, 1),
    default=0.95,
    show_default=True,
    help="Probability that an annotator gives the true label.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=6, show_default=True, help="Rounds of answers and training."
)
@click.option("--per-round", type=click.IntRange(1, 1000), default=40, show_default=True, help="Answers per round.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
@click.option(
    "--csv", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File with your own labelled texts."
)
@click.option("--text", help="With --csv: column of the text.")
@click.option("--label", help="With --csv: column of the true label.")
@click.option("--encoding", help="With --csv: encoding of the file, such as cp1252  [its byte order mark, else UTF-8]")
@click.option("--exit", "leave", is_flag=True, help="Stop all services at the end, instead of keeping them running.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures to this file."
)
@up_options
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
    encoding: str | None,
    leave: bool,
    json_file: Path | None,
    **given: Any,
) -> None:
    """Play the whole loop on real input with simulated annotators, and measure whether active learning paid."""
    from console.demo import DemoOptions, run

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
        encoding=encoding,
        leave=leave,
        json_file=json_file,
    )
    run(options, _up(**given), progress=progress)


COMMANDS = (
    up,
    down,
    demo,
)
