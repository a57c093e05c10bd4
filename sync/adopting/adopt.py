"""Adopt: make a loop of a project that people made in Label Studio, with its tasks, answers and predictions.

Each task becomes an output, known by its id and its data; nothing is written into a task. A page of tasks is stored in
one transaction with its annotations. The next call continues with the tasks that are not stored, so a killed
adoption is completed by another one. Until all is stored the loop is archived: no worker touches it.

The project's settings are stored before any is changed. Then the ordinary push ranks the tasks: those in the window
get a prediction with their order score, and the others wait in Postgres.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from labelloop.errors import Failed, Refused, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId, UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks, adoptions
from labelloop.store.adoptions import Adoption
from labelloop.store.database import Conn, Database
from labelloop.store.tables import jobs, loops, projects
from labelloop.versions.version import PIPELINE
from sync.adopting.newcomers import take_newcomers
from sync.adopting.settings import refuse, with_words
from sync.adopting.survey import Survey
from sync.project import signposts
from sync.project.project import ensure_project, mark
from sync.pull.pull import Memory, pull
from sync.push.push import push

logger = logging.getLogger(__name__)

BY = "labelloop adopt, which is not complete: run it again"
_MARK = re.compile(r"labelloop:[0-9a-f]{8}-[0-9a-f-]{27}")
_VERSION = re.compile(rf"{PIPELINE}(\+[0-9a-f]{{8}})?|[0-9a-f]{{12}}(\+[0-9a-f]{{8}})?")
"""Names that labelloop gives to versions in Label Studio."""


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of an adoption."""

    survey: Survey
    """The tasks that this call stored."""
    names: dict[UserId, str]
    tasks: int
    """All adopted tasks, those of earlier calls too."""
    answered: int
    """Outputs of them that have an answer from before; chance did not choose them."""
    held_out: int
    """Those whose answers evaluate models."""
    waiting: int
    """Outputs that wait in the pool."""
    opened: int
    """Tasks that this call ranked in the project."""
    missing: Sequence[str]
    """Connections that could not be made yet."""


def settings_of(gateway: Gateway, project_id: ProjectId) -> dict[str, Any]:
    """Return the settings of a project that can be adopted. Raises UsageError or Failed with the reason if it cannot.

    Whether another loop has it is checked by `refuse_taken`, and its form by the loop's spec.
    """
    try:
        settings = gateway.settings(project_id)
    except Refused as exc:
        if exc.status == 401:
            raise UsageError(f"Label Studio at {gateway.url} refuses the token: {exc}") from exc
        if exc.status in (403, 404):
            raise UsageError(
                f"there is no project {project_id} in Label Studio at {gateway.url} that this token may see. The "
                "number is the one in the project's address: .../projects/12/data"
            ) from exc
        raise
    refuse(settings, project_id)
    return settings


def refuse_taken(holder: str | None, gateway: Gateway, project_id: ProjectId, loop: str, settings: Any) -> None:
    """Raise UsageError if another loop has the project, or if its predictions are named like those of labelloop.

    `holder`: the loop that has it; None if there is none, or if the database is not there to tell.
    """
    where = f"project {project_id} in Label Studio at {gateway.url}"
    if holder is not None and holder != loop:
        raise UsageError(
            f"{where} is that of loop {holder!r}. Submit to that loop; or give the project back first: "
            f"labelloop release --loop {holder}"
        )
    if holder == loop:
        return
    found = _MARK.search(str(settings.get("description") or ""))
    if found is not None:
        raise UsageError(
            f"{where} belongs to a loop of another labelloop: its description has the mark {found[0]}. Release it "
            "there. If that labelloop is gone, remove the mark from the description"
        )
    named = sorted(name for name in gateway.static_versions(project_id) if _VERSION.fullmatch(name))
    if named:
        raise UsageError(
            f"{where} has predictions of the model version {named[0]!r}. labelloop names its own predictions like this "
            "and would mix them up. Delete these predictions, or import them under another name"
        )


def adopt(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    settings: Settings,
    project_id: ProjectId,
    tell: Callable[[int], object] = lambda _: None,
) -> Report:
    """Adopt the project for the loop of this spec. A second call takes in the tasks that came since.

    `tell` is called after each page with the number of tasks read. After a kill at any point, another call brings the
    loop to the same end.
    """
    # gather
    adoption, project = begin(database, gateway, spec, project_id)
    _write_mark(database, gateway, spec, project, adoption)

    # apply
    survey = take_newcomers(database, gateway, spec, tell)
    assert survey is not None
    if adoption.adopted_at is None:
        if project.bookmark is None:  # after a release, the bookmark of the last pull is the right one
            with database.transaction() as conn:
                projects.set_bookmark(conn, spec.name, adoption.since)
        # What people did meanwhile, before labelloop chooses any task. A worker's first pull finds late commits too.
        pull(database, gateway, spec, memory=Memory(since=project.bookmark or adoption.since))
    pushed = push(database, gateway, spec, settings)
    connected = ensure_project(database, gateway, spec, settings)
    with database.transaction() as conn:
        if adoption.adopted_at is None:  # last: until now no worker makes the same connections beside this
            adoptions.complete(conn, spec.name)
            loops.restore(conn, spec.name)
            for job in (jobs.PUSH, jobs.PULL):
                jobs.ask(conn, job, spec.name)
            jobs.ask_for_more(conn, spec)
        found = adopted_tasks.counts(conn, spec.name)
    logger.info("adopt", extra={"loop": spec.name, "project": project_id, "tasks": survey.tasks})
    return Report(
        survey,
        names_of(gateway, survey),
        found["tasks"],
        found["answered"],
        found["held_out"],
        found["waiting"],
        pushed.opened,
        connected.missing,
    )


def names_of(gateway: Gateway, survey: Survey) -> dict[UserId, str]:
    """Return the address of each person who answered."""
    return {id_: person.email for id_, person in gateway.users().items()} if survey.people else {}


def begin(database: Database, gateway: Gateway, spec: LoopSpec, project_id: ProjectId) -> tuple[Adoption, LoopProject]:
    """Store the intent with the project's settings as they are, or find that of an earlier call.

    Raises UsageError or Failed with the reason if the loop cannot have this project.
    """
    settings, tabs = settings_of(gateway, project_id), [view.id for view in gateway.views(project_id)]
    since = gateway.newest_change(project_id)
    with database.transaction() as conn:
        holder = adoptions.loop_of_project(conn, gateway.url, project_id)
    refuse_taken(holder, gateway, project_id, spec.name, settings)
    try:
        with database.transaction() as conn:
            adoption, project = adoptions.get(conn, spec.name), projects.get(conn, spec.name)
            refuse_other(conn, adoption, project, gateway, spec.name, project_id)
            if adoption is None or adoption.released_at is not None:
                loops.register(conn, spec)
                loops.archive(conn, spec.name, BY)
                projects.intend(conn, spec.name, gateway.url, secrets.token_bytes(32))
                projects.made(conn, spec.name, project_id, gateway.url)
                adoptions.begin(conn, spec.name, gateway.url, project_id, settings, tabs, since)
            adoption, project = adoptions.get(conn, spec.name), projects.get(conn, spec.name)
    except psycopg.errors.UniqueViolation as exc:
        if exc.diag.constraint_name != "one_adoption_a_project":
            raise
        raise UsageError(f"another loop is adopting project {project_id} at this moment") from exc
    assert adoption is not None
    assert project is not None
    return adoption, project


def refuse_other(
    conn: Conn,
    adoption: Adoption | None,
    project: LoopProject | None,
    gateway: Gateway,
    loop: str,
    project_id: ProjectId,
) -> None:
    """Raise UsageError if the loop has another project, or rests for another reason than an adoption."""
    if adoption is None:
        if project is not None and (project.label_studio_url.rstrip("/"), project.project_id) == (
            gateway.url,
            project_id,
        ):
            raise UsageError(
                f"project {project_id} is the own project of loop {loop!r}, which has its tasks and answers: there is "
                "nothing to adopt"
            )
        if project is not None or loop in loops.names(conn, archived=True):
            raise UsageError(f"loop {loop!r} exists, and its project is its own: choose another name with --loop")
        if loop in loops.resting(conn):
            raise UsageError(
                f"a loop {loop!r} was removed. Choose another name with --loop; or `labelloop loop restore {loop}`"
            )
        return
    if (adoption.label_studio_url, adoption.project_id) != (gateway.url, project_id) or project is None:
        raise UsageError(
            f"loop {loop!r} has adopted project {adoption.project_id} of Label Studio at {adoption.label_studio_url}: "
            "choose another name with --loop"
        )
    if adoption.released_at is None and project.project_id != project_id:
        raise UsageError(f"loop {loop!r} lost project {project_id}, and has project {project.project_id} instead")
    if adoption.adopted_at is not None and adoption.released_at is None and loop in loops.resting(conn):
        raise UsageError(f"loop {loop!r} was {loops.resting(conn)[loop]}: `labelloop loop restore {loop}` restores it")


def _write_mark(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, adoption: Adoption) -> None:
    """Write the loop's mark behind the project's description. The words are stored first, so that a release finds them
    whenever this was killed.
    """
    has = gateway.project(project.id).description
    if mark(project) in has:
        return
    if adoption.adopted_at is not None:
        raise Failed(
            f"project {project.id} is not that of loop {spec.name!r} any more: its description lacks the mark "
            f"{mark(project)}. Write it there again, or release the loop"
        )
    words = signposts.words(spec, mark(project), 0)
    with database.transaction() as conn:
        projects.set_words(conn, spec.name, words)
    gateway.update_project(project.id, description=with_words(has, words["description"]))
