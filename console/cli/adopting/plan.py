"""Plan of an adoption: the loop of a project, its folder and files, and the tasks that are stored already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.learners.of_spec import check
from console.cli.output import to_stderr
from console.cli.wrappers import open_database
from console.files import adopted, make
from labelloop.errors import Unreachable, UsageError
from labelloop.labeling.form_xml import same_form
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.reading.ids import ProjectId
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks, adoptions
from labelloop.store.tables import projects
from sync.adopting.adopt import refuse_other, refuse_taken, settings_of
from sync.adopting.newcomers import Before


@dataclass(frozen=True, slots=True)
class Plan:
    """Loop that an adoption would make."""

    spec: LoopSpec
    folder: Path
    files: Mapping[str, str]
    """Files to write into the folder, by name; empty if the folder is there."""
    settings: Mapping[str, Any]
    """Settings of the project, by Label Studio's names."""
    before: Before | None
    """Part of the project that the loop has already; None for the first adoption, or without a database."""


def plan_of(
    gateway: Gateway,
    settings: Settings,
    number: ProjectId,
    loop: str | None,
    loops_dir: Path | None,
    answer: Sequence[str],
    dry_run: bool = False,
) -> Plan:
    """Return the plan. Raises UsageError or Failed with the reason if the project cannot be adopted.

    The name is that of an earlier call, unless --loop gives another. A folder that exists must have the project's form.
    A dry run does without the database if that is not there.
    """
    if loop is not None:
        make.check_name(loop)
    theirs = settings_of(gateway, number)
    known, holder = _stored(settings, gateway.url, number, dry_run)
    name = loop or known or adopted.name_of(str(theirs["title"]), number)
    folder = (loops_dir or settings.loops_dir) / name
    if not (folder / "loop.yaml").exists():
        files = adopted.files_of(theirs, number, gateway.url, answer)
        spec = adopted.spec_of(name, files, number)
    else:
        files, spec = {}, load(folder)
        if name != known and not same_form(spec.labels_xml, str(theirs["label_config"])):
            raise UsageError(
                f"{folder} is the folder of another loop: its form is not that of project {number}. Choose another "
                "name with --loop"
            )
        if answer and tuple(answer) != spec.answer:
            raise UsageError(f"--answer is for a new folder, and {folder} exists: write `answer` into its loop.yaml")
    check(spec)
    refuse_taken(holder, gateway, number, name, theirs)
    return Plan(spec, folder, files, theirs, _before(settings, gateway, name, number, dry_run))


def _stored(settings: Settings, url: str, number: ProjectId, dry_run: bool) -> tuple[str | None, str | None]:
    """Return the loop that adopted this project last, and the loop that has it now; None for none.

    Both are None without a database. If a dry run cannot reach it, it says so.
    """
    if not settings.database_url:
        return None, None
    try:
        with open_database(settings) as db, db.transaction() as conn:
            found = adoptions.of_project(conn, url, number)
            return None if found is None else found.loop, adoptions.loop_of_project(conn, url, number)
    except Unreachable as exc:
        if not dry_run:
            raise
        to_stderr(f"{exc}. The dry run does without it, so it cannot tell whether a loop has the project already")
        return None, None


def _before(settings: Settings, gateway: Gateway, loop: str, number: ProjectId, dry_run: bool) -> Before | None:
    """Return what the loop has of the project already. Raises UsageError if it cannot have this project."""
    if not settings.database_url:
        return None
    try:
        with open_database(settings) as db, db.transaction() as conn:
            adoption, project = adoptions.get(conn, loop), projects.get(conn, loop)
            refuse_other(conn, adoption, project, gateway, loop, number)
            if adoption is None or project is None:
                return None
            return Before(adoption, adopted_tasks.known(conn, project.instance), project.signing_key)
    except Unreachable:
        if not dry_run:
            raise
        return None  # `_stored` has said so
