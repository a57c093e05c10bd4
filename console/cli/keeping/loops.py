"""The commands about one loop as a whole: loop archive, loop restore, loop remove, project recreate."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click

from console.cli.adopting.refusals import refuse_adopted, refuse_released
from console.cli.decisions import signed_by
from console.cli.output import to_stderr
from console.cli.wrappers import as_json_too, each_loop, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import Refused, UsageError
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject


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
        refuse_released(adoptions.get(conn, name) if name not in known else None)
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

    with open_database(settings, as_owner=True) as db:
        with db.transaction() as conn:
            if not loops.is_archived(conn, name):
                raise _not_archived(loops.names(conn), loops.resting(conn), name)
            counts, project = removal.counts(conn, name), projects.get(conn, name)
            adoption = adoptions.get(conn, name)
            versions = removal.versions(conn, name)
        refuse_adopted(adoption, with_project)
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


COMMANDS = (loop, project)
