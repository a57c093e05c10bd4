"""The commands about query strategies: strategies lists them, simulate compares them on a labelled set."""

from __future__ import annotations

from pathlib import Path

import click

from console.cli.output import a_console, show, to_stderr
from console.cli.progress import progress
from console.cli.wrappers import as_json_too, with_settings
from labelloop.process.settings import Settings

MIN_TABLE_WIDTH = 110
"""Columns of the table at least; a narrower terminal wraps its lines."""
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@as_json_too
def strategies(as_json: bool) -> None:
    """List the query strategies for `queue.strategy` in loop.yaml: what each reads, and what it asks for first."""
    from labelloop.strategies import REGISTRY

    known = REGISTRY.values()
    if as_json:
        show([{"name": o.name, "kind": o.kind.value, "reads": o.reads, "line": o.line} for o in known], as_json)
    else:
        show([{"name": o.name, "kind": o.kind.value, "asks first where": o.line} for o in known], as_json)


@click.command()
@click.option("--data", required=True, help="Labelled .csv, .jsonl or .parquet file; or `digits`, which is built in.")
@click.option("--text", help="Column of the text  [with --loop: the field that its learner reads; else text]")
@click.option("--label", help="Column of the true label  [label]")
@click.option("--encoding", help="Encoding of the file, such as cp1252  [its byte order mark, else UTF-8]")
@click.option("--loop", help="Take learner, field, strategy and diversity from this loop's loop.yaml.")
@click.option(
    "--strategies",
    "names",
    help="Names, such as margin,margin:0,random; the number is a diversity.",
)
@click.option(
    "--diversity",
    type=click.FloatRange(0, 1),
    help="Diversity of a batch, 0 to 1: 0 takes the most useful, 1 the most different ones.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="Replays per strategy, each with its own seed.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Labels per batch; after each batch the model is trained again.",
)
@click.option("--budget", type=click.IntRange(min=1), help="Labels in total  [20 batches]")
@click.option(
    "--embeddings", type=FILE, help="A .npy file with one vector per row of the data, used instead of the text."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="A .png file for the curves, or a folder for curves and figures."
)
@click.option("--json", "json_file", type=FILE, help="Also write the figures to this file.")
@with_settings
def simulate(
    settings: Settings,
    data: str,
    text: str | None,
    label: str | None,
    encoding: str | None,
    loop: str | None,
    names: str | None,
    diversity: float | None,
    seeds: int,
    batch: int,
    budget: int | None,
    embeddings: Path | None,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Compare query strategies on a labelled set: learning curves, and labels needed to reach a share of the metric
    with all labels.
    """
    from console.simulate import SimulateOptions, defaults, files, run, variants
    from console.simulate.picture import differences, notes, table
    from labelloop.errors import UsageError

    given = defaults(settings.loops_dir, loop)
    chosen = variants(names or given.strategies, given.diversity if diversity is None else diversity)
    if data == files.DIGITS_DATASET:
        if text or label or embeddings:
            raise UsageError(f"--data {data} is built in: it takes no --text, --label or --embeddings")
        labelled = files.digits()
    else:
        labelled = files.read(
            Path(data), text or given.field, label, learner=given.learner, embeddings=embeddings, encoding=encoding
        )
    options = SimulateOptions(chosen, seeds, batch, budget, out, json_file)
    with progress() as tick:
        report = run(labelled, options, to_stderr, tick)
    console = a_console(MIN_TABLE_WIDTH)
    console.print(table(report))
    if (paired := differences(report)) is not None:
        console.print()
        console.print(paired)
    for note in notes(report):
        console.print(note)


COMMANDS = (strategies, simulate)
