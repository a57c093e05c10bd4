"""The commands about one loop as a whole: init, loop archive, loop restore, loop remove, project recreate."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.decisions import signed_by
from console.cli.output import to_stderr
from console.cli.wrappers import as_json_too, each_loop, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import Refused, UsageError
from labelloop.process.settings import Settings
from labelloop.process.ups import is_held
from labelloop.queue.project import LoopProject

if TYPE_CHECKING:
    from labelloop.store.adoptions import Adoption


@click.group()
def loop() -> None:
    """Archive a loop, restore it, or remove it for good."""


@loop.command(short_help="Stop all work on a loop; nothing is deleted.")
@click.argument("name")
@signed_by("Name of the person who archives it.")
@with_settings
def archive(settings: Settings, name: str, by: str) -> None:
    """Archive the loop NAME: no submit, push, pull or training until it is restored. Nothing is deleted.

    Its project stays in Label Studio. Answers given there meanwhile are pulled after the loop is restored.
    """
    from labelloop.store.tables import loops, runs

    with open_database(settings) as db, db.transaction() as conn:
        if not loops.archive(conn, name, by):
            raise _not(loops.names(conn), loops.resting(conn), name)
        stopped = [r for r in runs.open_runs(conn, name) if runs.ask_to_stop(conn, r.id, by, "the loop is archived")]
    to_stderr(f"loop {name!r} is archived; `labelloop loop restore {name}` restores it")
    if stopped:
        to_stderr(f"{len(stopped)} run{'s' * (len(stopped) > 1)} of this loop will stop within seconds")


@loop.command(short_help="Restore an archived loop.")
@click.argument("name")
@with_settings
def restore(settings: Settings, name: str) -> None:
    """Restore the archived loop NAME with all its data. A loop that was removed starts again, empty."""
    from labelloop.store import adoptions
    from labelloop.store.tables import loops

    with open_database(settings) as db, db.transaction() as conn:
        known, resting = loops.names(conn), loops.resting(conn)
        found = adoptions.get(conn, name) if name in loops.names(conn, archived=True) else None
        if found is not None and found.released_at is not None:
            raise UsageError(
                f"loop {name!r} gave its project back on {found.released_at:%Y-%m-%d}. To adopt it again: "
                f"labelloop adopt --project {found.project_id} --loop {name}"
            )
        if not loops.restore(conn, name):
            raise _not(known, resting, name)
    to_stderr(f"loop {name!r} is restored; it was {resting[name]}")


@loop.command(short_help="Delete an archived loop for good.")
@click.argument("name")
@click.option("--yes", "confirmed", metavar="NAME", help="Repeat the name: remove the loop without a prompt.")
@click.option("--with-project", is_flag=True, help="Also delete its project in Label Studio, with all annotations.")
@with_settings
def remove(settings: Settings, name: str, confirmed: str | None, with_project: bool) -> None:
    """Delete the archived loop NAME from the database, with its model files, for good.

    Before it deletes, it prints what will be deleted and asks for the name once more. The folder of the loop stays but
    does not register the loop again; only `labelloop loop restore` does.
    """
    from labelloop.store import adoptions, removal
    from labelloop.store.tables import loops, projects

    with open_database(settings) as db:
        with db.transaction() as conn:
            if not loops.is_archived(conn, name):
                raise _not_archived(loops.names(conn), loops.resting(conn), name)
            counts, project = removal.counts(conn, name), projects.get(conn, name)
            adoption = adoptions.get(conn, name)
            versions = removal.versions(conn, name)
        _refuse_adopted(adoption, with_project)
        files = _files(settings, versions)
        _tell(name, counts, files, project, with_project)
        _confirm(name, confirmed)
        meanwhile = UsageError(f"nothing is removed: loop {name!r} was restored or removed during the prompt")
        with db.transaction() as conn:
            if not loops.is_archived(conn, name):
                raise meanwhile
        if with_project and project is not None and project.project_id is not None:
            _delete_project(settings, project)
        with db.transaction() as conn:
            deleted = removal.remove(conn, name)
        if deleted is None:
            raise meanwhile
    for file in files:
        file.unlink(missing_ok=True)
    to_stderr(f"loop {name!r} is removed: {sum(deleted.values()):,} rows and {len(files)} model files are deleted")
    to_stderr(f"a folder {name} in the loops folder does not register it again; `labelloop loop restore {name}` does")


@click.group()
def project() -> None:
    """Manage a loop's project in Label Studio."""


@project.command(short_help="Make a new project after a deletion; answers are kept.")
@one_of_the_loops
@as_json_too
@with_settings
def recreate(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Make a new project for a loop whose project or tasks were deleted, and push the outputs without an answer to it.

    Answers that were pulled are kept. If the project and its tasks exist, nothing changes; a second run does nothing.
    """
    from sync.recreate import recreate as again

    with open_database(settings) as db:
        name = one_loop(db, loop)
    each_loop(settings, name, as_json, lambda db, gateway, spec: again(db, gateway, spec, settings))


@click.command(short_help="Make a loop from a template or from a file of outputs.")
@click.argument("name")
@click.option(
    "--template",
    help=(
        "Kind of the loop: audio-segments, boxes, classify, comparison, detection, detector, dialogue, documents, "
        "entities, html-entities, judge, keypoints, masks, multilabel, pairwise, polygons, questions, rag, "
        "ranking, rating, text-review, time-series, timeline, transcription or video-boxes."
    ),
)
@click.option(
    "--from-label-studio-template",
    "of_label_studio",
    metavar="NAME",
    help="One of Label Studio's own templates, such as named-entity-recognition; a wrong name lists all.",
)
@click.option("--from", "file", help="CSV, TSV, JSON lines or Parquet with a text and a predicted label in each row.")
@click.option("--labels", help="Labels of your model, separated by commas: a loop without outputs, for your program.")
@click.option("--text", help="With --from: column of the text.")
@click.option("--label", help="With --from: column of the predicted label.")
@click.option("--confidence", help="With --from: column of the confidence, 0 to 1.")
@click.option("--key", help="With --from: column of the key  [`key`, else file name and row number]")
@click.option("--encoding", help="With --from: encoding of the file, such as cp1252  [its byte order mark, else UTF-8]")
@click.option(
    "--loops-dir",
    type=click.Path(path_type=Path),
    help="Folder in which the loop's folder is made  [that of the services, else labeling_configs]",
)
@with_settings
def init(
    settings: Settings,
    name: str,
    template: str | None,
    of_label_studio: str | None,
    file: str | None,
    labels: str | None,
    text: str | None,
    label: str | None,
    confidence: str | None,
    key: str | None,
    encoding: str | None,
    loops_dir: Path | None,
) -> None:
    """Make the loop NAME: a folder with its loop.yaml, and outputs to begin with.

    With a template the outputs are ten samples, for you to try the form. With a file they are its rows, which are
    submitted if the services run. With --labels there are none: a program submits them. If the services run, the loop
    is registered.
    """
    from console.cli.pipelines import begin
    from console.files import make
    from console.files.lines import Source

    folder = make.folder_of(loops_dir or settings.loops_dir, name)
    if [template, of_label_studio, file, labels].count(None) != 3:
        raise UsageError("name a --template, or a file with --from, or the --labels of your model")
    begin.refuse_known(settings, name, folder)
    if labels is not None:
        spec = make.from_labels(folder, labels)
        to_stderr(f"made the loop {name!r} in {folder}")
        if not begin.register(settings, spec):
            to_stderr(f"next:\n{_up_first(settings)}labelloop migrate")
        to_stderr(f'in Python: Client(loop="{name}").submit(...); in the shell: labelloop submit FILE --loop {name}')
        return
    outputs: Path | None
    if template is not None:
        spec, outputs = make.from_template(folder, template)
    elif of_label_studio is not None:
        spec, outputs = make.from_label_studio(folder, of_label_studio, _templates(settings))
    elif file is None or text is None or label is None:
        raise UsageError("--from needs --text and --label, the columns of the text and of the predicted label")
    else:
        spec, outputs = make.from_table(folder, Source(file, encoding), text, label, confidence, key)
    to_stderr(f"made the loop {name!r} in {folder}" + (f", with outputs in {outputs.name}" if outputs else ""))
    registered = begin.register(settings, spec)
    if outputs is None:
        if not registered:
            to_stderr(f"next:\n{_up_first(settings)}labelloop migrate")
        return
    if file is not None and registered and begin.submit(settings, outputs, name):
        return
    first = "" if registered else f"{_up_first(settings)}labelloop migrate\n"
    to_stderr(f"next:\n{first}labelloop submit {outputs} --loop {name}")


def _templates(settings: Settings) -> Mapping[str, str]:
    """Return the forms of Label Studio's own templates: of the connected one, or of the one on this machine."""
    from console.files import label_studio
    from labelloop.labelstudio.gateway import Gateway

    if settings.label_studio_url and settings.label_studio_token:
        with closing(Gateway(settings.label_studio_url, settings.label_studio_token)) as gateway:
            return label_studio.listed(gateway.templates())
    found = label_studio.installed()
    if not found:
        raise UsageError(
            "Label Studio's templates come from Label Studio: set LABELLOOP_LABEL_STUDIO_URL and "
            "LABELLOOP_LABEL_STUDIO_TOKEN, or install one with `labelloop up`"
        )
    return found


def _up_first(settings: Settings) -> str:
    is_there = settings.database_url or is_held(settings.data_dir)  # perhaps still starting
    return "" if is_there else "labelloop up                  # starts the services, in another terminal\n"


def _tell(
    name: str, counts: Mapping[str, int], files: list[Path], project: LoopProject | None, with_project: bool
) -> None:
    shown = {
        "outputs": counts.get("outputs", 0),
        "annotations, every version of them": counts.get("annotation_versions", 0),
        "answers": counts.get("answers", 0),
        "runs": counts.get("retrain_runs", 0),
        "model versions": counts.get("model_versions", 0),
        "model files": len(files),
        "rows in total": sum(counts.values()),
    }
    to_stderr(f"this deletes the following data of loop {name!r} for good:")
    for what, n in shown.items():
        to_stderr(f"  {n:>9,}  {what}")
    if project is not None and project.project_id is not None:
        at = f"project {project.project_id} in Label Studio at {project.label_studio_url}"
        to_stderr(f"{at} {'is also deleted, with its tasks and annotations' if with_project else 'is kept'}")


def _refuse_adopted(adoption: Adoption | None, with_project: bool) -> None:
    """Raise UsageError rather than delete a project that people made; say what else its settings need."""
    if adoption is None:
        return
    if with_project:
        raise UsageError(
            f"nothing is removed: people made project {adoption.project_id}, and the loop only adopted it. Leave "
            "--with-project out; who wants to delete the project does it in Label Studio"
        )
    if adoption.released_at is None:
        to_stderr(
            f"project {adoption.project_id} keeps the settings and predictions of the loop: to give it back as it was, "
            f"first run `labelloop release --loop {adoption.loop}`"
        )


def _confirm(name: str, confirmed: str | None) -> None:
    if confirmed is None:
        if not sys.stdin.isatty():
            raise UsageError(f"nothing is removed: confirm with --yes {name}")
        confirmed = click.prompt(f"Type {name} to remove it", default="", show_default=False, err=True)
    if confirmed != name:
        raise UsageError(f"nothing is removed: {confirmed!r} is not {name!r}")


def _delete_project(settings: Settings, project: LoopProject) -> None:
    """Delete the project if it carries the loop's mark. A project that does not exist any more is no error."""
    from labelloop.errors import Failed
    from labelloop.labelstudio.gateway import Gateway
    from sync.project.project import check_is_ours

    settings.require("label_studio_url", "label_studio_token")
    with closing(Gateway(settings.label_studio_url, settings.label_studio_token)) as gateway:
        try:
            gateway.delete_project(check_is_ours(gateway, project).id)
        except Failed as exc:
            if not isinstance(exc.__cause__, Refused):
                raise
            to_stderr(f"project {project.project_id} was already deleted")


def _files(settings: Settings, versions: list[str]) -> list[Path]:
    folder = settings.models_dir
    return [] if folder is None else [f for f in (folder / f"{v}.skops" for v in versions) if f.exists()]


def _not(at_work: list[str], resting: Mapping[str, str], name: str) -> UsageError:
    if name in resting:
        return UsageError(f"loop {name!r} was already {resting[name]}")
    if name in at_work:
        return UsageError(f"loop {name!r} is active")
    return UsageError(f"no loop {name!r}; there are: {', '.join([*at_work, *resting]) or 'none'}")


def _not_archived(at_work: list[str], resting: Mapping[str, str], name: str) -> UsageError:
    if name in at_work:
        return UsageError(f"loop {name!r} is active: archive it first with `labelloop loop archive {name}`")
    return _not(at_work, resting, name)


COMMANDS = (loop, project, init)
