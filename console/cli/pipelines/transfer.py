"""The commands that move outputs and answers: submit, push, pull, export."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import plain, show, to_stderr
from console.cli.pipelines.source import check_openai, options, source_of
from console.cli.progress import progress
from console.cli.wrappers import (
    all_or_one,
    as_json_too,
    each_loop,
    loop_names,
    one_loop,
    one_of_the_loops,
    open_database,
    with_settings,
)
from labelloop.errors import Failed, LabelloopError, UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from console.files.lines import Source
    from labelloop.queue.project import LoopProject
    from labelloop.spec.loop import LoopSpec
    from labelloop.store.database import Database

NO_CALLS = (
    "no span is a call of a model: such a span has gen_ai.operation.name (chat, generate_content, text_completion), "
    "gen_ai.output.messages, openinference.span.kind or langfuse.observation.type"
)
"""Told about traces from which nothing was submitted."""
OF_ANSWERS = ("label-studio", "coco", "conll", "hf")
"""Formats of exports that hold answers and no feedback."""


@click.command()
@click.argument("file", required=False)
@options(["otlp", "mlflow", "openai"], "FILE holds traces or chat completions; mlflow needs no FILE.")
@click.option("--skip-bad", is_flag=True, help="Send the lines that are correct, and report the others.")
@click.option("--tracking-uri", help="With --from mlflow: address of the tracking server  [MLFLOW_TRACKING_URI]")
@click.option("--experiment", help="With --from mlflow: name of the experiment.")
@one_of_the_loops
@as_json_too
@with_settings
def submit(
    settings: Settings,
    file: str | None,
    maps: tuple[str, ...],
    skip_bad: bool,
    kind: str | None,
    label: str,
    tracking_uri: str | None,
    experiment: str | None,
    encoding: str | None,
    loop: str | None,
    as_json: bool,
    **of_openai: str | None,
) -> None:
    """Submit the outputs in FILE: NDJSON, CSV, TSV or Parquet, also with .gz; - is standard input.

    Columns named like fields of an output (key, label, confidence, data.text) need no --map. Nothing of a file is sent
    if a line of it is not an output. Standard input is sent as it comes, up to such a line. Repeating it adds nothing.
    """
    from console.files.send import Sent, check, send, words
    from labelloop.client import Client

    settings.require("sync_url", "intake_token")
    check_openai(kind, of_openai)
    if kind != "mlflow" and (tracking_uri or experiment):
        raise UsageError("--tracking-uri and --experiment need --from mlflow")
    if kind == "mlflow":
        from console.files.mlflow import Traces

        if file is not None:
            raise UsageError("--from mlflow reads the traces from MLflow and takes no FILE")
        if maps:
            raise UsageError("--map is for tables and NDJSON; traces have no columns")
        source: Source | Traces = Traces(tracking_uri, experiment, label)
    else:

        def labels() -> list[str]:
            with Client(settings.sync_url, settings.intake_token) as client:
                return client.labels(loop)

        source = source_of(file, maps, kind, label, encoding, of_openai, labels)
    with progress() as tick, Client(settings.sync_url, settings.intake_token) as client:
        sent = Sent()
        if source.can_be_read_twice and not skip_bad:
            sent = check(source.lines(lambda done: tick("checking outputs", done, source.size)))
        if not sent.refused:
            lines = source.lines(lambda done: tick("sending outputs", done, source.size))
            sent = send(client, lines, loop, skip_bad=skip_bad)
    counts = {"new": sent.new, "known": sent.known, "refused": sent.refused}
    show({**counts, "problems": [plain(one) for one in sent.problems]} if as_json else counts, as_json)
    if sent.new and not as_json:
        to_stderr(where(settings, loop))
    if kind == "otlp" and not (sent.new or sent.known or sent.refused):
        to_stderr(NO_CALLS)
    if sent.refused:
        if not as_json:
            to_stderr("\n".join(words(problem) for problem in sent.problems))
            if (more_lines := sent.refused - len(sent.problems)) > 0:
                to_stderr(f"and {more_lines} more line{'s' * (more_lines > 1)}")
        hint = "" if skip_bad else "; nothing is sent: correct what is refused, or pass --skip-bad to send the others"
        lines_are = "1 line is" if sent.refused == 1 else f"{sent.refused} lines are"
        raise Failed(f"{lines_are} refused{hint}")


def where(settings: Settings, loop: str | None) -> str:
    """Return in words how many outputs wait, and where their tasks will be, as far as Postgres is known."""
    from labelloop.store.tables import outputs, projects

    soon = f"tasks appear in Label Studio within {settings.pull_every_s:g} s"
    if not settings.database_url:
        return soon
    try:
        with open_database(settings) as db, db.transaction() as conn:
            name = one_loop(db, loop)
            waiting, project = outputs.state_counts(conn, name)["waiting"], projects.get(conn, name)
    except LabelloopError:  # the outputs are stored: what is printed here is only a hint
        return soon
    at = _address(settings, project)
    at = f": {at}" if at else ""
    return f"{waiting:,} wait; {soon}{at}" if waiting else f"none waits: each passed, or is a task already{at}"


def _address(settings: Settings, project: LoopProject | None) -> str:
    """Return the address of the loop's project, else that of Label Studio; "" if neither is known."""
    if project is not None and project.project_id is not None:
        return f"{project.label_studio_url.rstrip('/')}/projects/{project.project_id}"
    return settings.label_studio_url.rstrip("/")


@click.command()
@all_or_one
@as_json_too
@with_settings
def push(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Push the most useful waiting outputs to Label Studio, and restore project settings that somebody changed.

    Outputs that are held back for their media are looked at once more; those that can be read wait again.
    """
    from labelloop.labelstudio.inspection import Inspection
    from labelloop.store.tables import outputs, projects
    from sync.media.watching import look_again
    from sync.project.mend import mend
    from sync.project.project import ensure_project
    from sync.push.push import push as hop

    def mended(db: Database, gateway: Any, spec: LoopSpec) -> object:
        """Repair the project, then push: `doctor` names this command as the repair of changed settings."""
        ensure_project(db, gateway, spec, settings)
        with Inspection(settings.label_studio_url, settings.label_studio_token) as studio:
            mend(db, studio, spec)
        look_again(db, settings, spec)
        return hop(db, gateway, spec, settings)

    each_loop(settings, loop, as_json, mended)
    if not as_json:
        with open_database(settings) as db, db.transaction() as conn:
            for name in loop_names(db, loop):
                if (at := _address(settings, projects.get(conn, name))) and (
                    count := outputs.state_counts(conn, name)["in_review"]
                ):
                    to_stderr(f"{name}: {count:,} task{'s are' if count > 1 else ' is'} open at {at}")


@click.command()
@all_or_one
@click.option("--full", is_flag=True, help="Check every task, not only changed ones.")
@click.option(
    "--confirm-deletions", is_flag=True, help="With --full: accept that all missing tasks were deleted on purpose."
)
@as_json_too
@with_settings
def pull(settings: Settings, loop: str | None, full: bool, confirm_deletions: bool, as_json: bool) -> None:
    """Pull new, changed and deleted answers from Label Studio."""
    from sync.pull.pull import pull as hop

    if confirm_deletions and not full:
        raise UsageError("--confirm-deletions needs --full: only a full pull looks for missing tasks")
    each_loop(
        settings,
        loop,
        as_json,
        lambda db, gateway, spec: hop(db, gateway, spec, full=full, confirm_deletions=confirm_deletions),
    )


@click.command()
@click.option(
    "--format",
    "name",
    default="ndjson",
    show_default=True,
    help="ndjson, csv, parquet, otlp, sft, dpo; of answers: label-studio, coco, conll, hf.",
)
@click.option(
    "--answers", is_flag=True, help="With ndjson, csv, parquet: a row for each answered output, with its data."
)
@click.option("--each-person", is_flag=True, help="For answers: add the answer of each person to the agreed one.")
@click.option("--since", help="Cursor of an earlier export: only rows that changed or were deleted since.")
@click.option(
    "--cursor",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the cursor: read if it is there, written at the end.",
)
@click.option(
    "--output",
    type=click.File("wb", lazy=True, atomic=True),
    default="-",
    help="File; for hf a new folder  [standard output]",
)
@one_of_the_loops
@with_settings
def export(
    settings: Settings,
    name: str,
    answers: bool,
    each_person: bool,
    since: str | None,
    cursor: Path | None,
    output: Any,
    loop: str | None,
) -> None:
    """Export the reviewers' feedback, or its changes since a cursor. sft and dpo are examples for training.

    label-studio, coco, conll and hf, and the tables with --answers, have the answers on which the reviewers agree.
    """
    from labelloop.store.questions import feedback_out
    from labelloop.store.tables import loops
    from sync.answering import examples, exports

    if answers or name in OF_ANSWERS:
        if since is not None or cursor is not None:
            raise UsageError("--since and --cursor are for feedback; answers are exported in full")
        _export_answers(settings, name, output, loop, each_person=each_person)
        return
    if each_person:
        raise UsageError("--each-person needs --answers, or one of the formats label-studio and hf")
    if cursor is not None and since is None and cursor.exists():
        since = cursor.read_text().strip()
    with open_database(settings) as db:
        chosen = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec = loops.get(conn, chosen)
        assert spec is not None
        made = exports.begin(db, spec, name, since)
        with output:
            for piece in made.pieces:
                output.write(piece)
        if name in examples.NAMES:
            with db.transaction() as conn:
                left_out = made.tally.left_out + Counter({"held out": feedback_out.held_out(conn, chosen)})
            shown = ", ".join(f"{n} {why}" for why, n in sorted(left_out.items()))
            to_stderr(f"{made.tally.examples} example{'s' * (made.tally.examples != 1)}; left out: {shown or 'none'}")
            return
    if cursor is not None:
        cursor.write_text(f"{made.cursor}\n")
    click.echo(f"cursor for the next export: {made.cursor}", err=True)


def _export_answers(settings: Settings, name: str, output: Any, loop: str | None, *, each_person: bool) -> None:
    from labelloop.store.tables import loops
    from sync.answering import answered

    with open_database(settings) as db:
        chosen = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec = loops.get(conn, chosen)
        assert spec is not None
        answered.check(spec, name, each_person=each_person)
        if name == "hf":
            if output.name == "-":
                raise UsageError("--format hf writes a folder: name it with --output")
            tally = answered.write_folder(db, spec, Path(output.name), each_person=each_person)
        else:
            with output:
                tally = answered.write(db, spec, name, output, each_person=each_person)
    for why, count in sorted(tally.items()):
        if count:
            to_stderr(f"not held: {count:,} x {why}")


COMMANDS = (submit, push, pull, export)
