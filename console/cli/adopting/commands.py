"""The commands about projects that people made in Label Studio: adopt, release."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.decisions import me, signed_by
from console.cli.output import plain, print_json, show, to_stderr
from console.cli.progress import progress
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings
from labelloop.reading.texts import counted

if TYPE_CHECKING:
    from labelloop.labelstudio.gateway import Gateway
    from labelloop.reading.ids import ProjectId


@click.command(short_help="Make a loop of a project that is in Label Studio.")
@click.option("--project", "number", type=int, required=True, help="Number of the project, as in its address.")
@click.option("--url", help="Address of Label Studio  [LABELLOOP_LABEL_STUDIO_URL]")
@click.option("--token", help="Token for it, personal or legacy  [LABELLOOP_LABEL_STUDIO_TOKEN]")
@click.option("--loop", help="Name of the loop  [the title of the project in lower case]")
@click.option(
    "--answer",
    multiple=True,
    metavar="CONTROL",
    help="Control of the form that holds the answer; give it again for several  [all that people fill in]",
)
@click.option("--dry-run", is_flag=True, help="Tell what it would do, and change nothing.")
@click.option(
    "--loops-dir",
    type=click.Path(path_type=Path),
    help="Folder in which the loop's folder is made  [that of the services, else labeling_configs]",
)
@as_json_too
@with_settings
def adopt(
    settings: Settings,
    number: int,
    url: str | None,
    token: str | None,
    loop: str | None,
    answer: tuple[str, ...],
    dry_run: bool,
    loops_dir: Path | None,
    as_json: bool,
) -> None:
    """Make a loop of a project that people made in Label Studio, with its answers and predictions.

    Answers count with their people and times, predictions become outputs, and tasks without an answer are served by
    rank. Nothing in the project is deleted. `labelloop release` gives it back as it was. A second run takes in the
    tasks that came since; after a kill it continues.
    """
    from labelloop.labelstudio.gateway import Gateway
    from labelloop.reading.ids import ProjectId

    there = _with(settings, url, token)
    with closing(Gateway(there.label_studio_url, there.label_studio_token)) as gateway:
        if dry_run:
            _tell(gateway, there, ProjectId(number), loop, loops_dir, answer, as_json)
        else:
            _refuse_other_server(settings, there)
            _adopt(gateway, there, ProjectId(number), loop, loops_dir, answer, as_json)


@click.command(short_help="Give an adopted project back as it was.")
@one_of_the_loops
@signed_by("Name of the person who releases it.", always=False)
@as_json_too
@with_settings
def release(settings: Settings, loop: str | None, by: str | None, as_json: bool) -> None:
    """Give an adopted project back: its settings as they were, and nothing left in it that labelloop made.

    The loop is archived. Its answers and models stay. What people made in the project stays too.
    """
    from labelloop.labelstudio.gateway import Gateway
    from labelloop.store.tables import loops
    from sync.adopting.release import release as hop

    settings.require("label_studio_url", "label_studio_token")
    with (
        closing(Gateway(settings.label_studio_url, settings.label_studio_token)) as gateway,
        open_database(settings) as db,
    ):
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec = loops.get(conn, name)
        assert spec is not None
        show(plain(hop(db, gateway, spec, settings, by or me())), as_json)
    to_stderr(f"loop {name!r} is archived; its answers stay in the database")


def _with(settings: Settings, url: str | None, token: str | None) -> Settings:
    """Return the settings with this address and token in place of their own."""
    if url is not None and token is None and url.rstrip("/") != settings.label_studio_url.rstrip("/"):
        raise UsageError("--url names another Label Studio than the settings: its --token is needed too")
    there = replace(
        settings,
        label_studio_url=url or settings.label_studio_url,
        label_studio_token=token or settings.label_studio_token,
    )
    there.require("label_studio_url", "label_studio_token")
    return there


def _refuse_other_server(settings: Settings, there: Settings) -> None:
    """Raise UsageError if the services work with another Label Studio."""
    if settings.label_studio_url.rstrip("/") != there.label_studio_url.rstrip("/"):
        raise UsageError(
            f"the services work with Label Studio at {settings.label_studio_url or '(none is set)'}, and the project "
            f"is at {there.label_studio_url}. Set LABELLOOP_LABEL_STUDIO_URL and LABELLOOP_LABEL_STUDIO_TOKEN to the "
            "latter, for the services too; --dry-run works with any"
        )


def _tell(
    gateway: Gateway,
    settings: Settings,
    number: ProjectId,
    loop: str | None,
    loops_dir: Path | None,
    answer: tuple[str, ...],
    as_json: bool,
) -> None:
    from console.cli.adopting.plan import plan_of
    from console.cli.adopting.words import report, sentences
    from sync.adopting.adopt import names_of
    from sync.adopting.newcomers import look

    plan = plan_of(gateway, settings, number, loop, loops_dir, answer, dry_run=True)
    total = gateway.project(number).tasks
    with progress() as tick:
        survey = look(gateway, plan.spec, number, lambda n: tick(f"reading project {number}", n, total), plan.before)
    found = report(plan, survey, names_of(gateway, survey), total)
    if as_json:
        return print_json(found)
    for line in sentences(found, gateway.url, plan.folder):
        click.echo(line)
    return None


def _adopt(
    gateway: Gateway,
    settings: Settings,
    number: ProjectId,
    loop: str | None,
    loops_dir: Path | None,
    answer: tuple[str, ...],
    as_json: bool,
) -> None:
    from console.cli.adopting.plan import plan_of
    from console.cli.adopting.words import unreadable
    from console.files.make import write
    from sync.adopting.adopt import adopt as hop
    from sync.adopting.adopt import begin

    settings.require("database_url")
    plan = plan_of(gateway, settings, number, loop, loops_dir, answer)
    spec, folder, files = plan.spec, plan.folder, plan.files
    total = gateway.project(number).tasks
    with open_database(settings) as db, progress() as tick:
        begin(db, gateway, spec, number)
        if files:  # after the loop is stored: a folder without it would be registered as a loop with a new project
            write(folder, {name: [text] for name, text in files.items()})
            to_stderr(f"made the loop {spec.name!r} in {folder}")
        done = hop(db, gateway, spec, settings, number, lambda n: tick(f"adopting project {number}", n, total))
    found = {
        "loop": spec.name,
        "project": number,
        "tasks": done.tasks,
        "answered_before": done.answered,
        "held_out": done.held_out,
        "waiting": done.waiting,
        "ranked_now": done.opened,
    }
    show(found, as_json)
    for line in unreadable(done.survey.to_json(done.names)):
        to_stderr(line)
    if done.answered:
        to_stderr(
            f"people had answered {counted(done.answered, 'task')} before. They chose these tasks, not chance, so "
            "estimates of the error rate leave them out"
        )
    if done.missing:
        to_stderr(f"not connected yet: {', '.join(done.missing)}; the worker tries again")


COMMANDS = (adopt, release)
