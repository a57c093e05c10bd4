"""A loop's project in Label Studio: created once, found again, and kept as the loop's spec wants it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labelloop.answers.unreadable import empty_is_an_answer
from labelloop.errors import Ambiguous, Failed, Refused, Unreachable
from labelloop.labeling.form_xml import same_form, sent
from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.privacy import proofs
from labelloop.store.tables import projects
from sync.alerts.form import look_at_form
from sync.project import adjudicating, signposts
from sync.project.asks import ask_as_many
from sync.project.texts import texts_of

logger = logging.getLogger(__name__)

CREATION_GRACE_S = 30.0
"""Seconds within which a creation may still take effect after its reply was lost."""
SAMPLING = "Uncertainty sampling"
SKIP_QUEUE = "REQUEUE_FOR_OTHERS"
"""A skip is the person's: the task is served to others, and to this person never again."""
ML_TITLE = "labelloop"
DISCONNECTED = "DI"
"""Label Studio's state of an ML backend that does not answer."""
UNAUTHORIZED = "401 Client Error"
"""Part of the error that Label Studio lists for an ML backend which refuses its password."""
HOOK_HEADER = "X-Labelloop-Secret"
HOOK_ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
)


def hook_path(loop: str) -> str:
    return f"/hooks/label-studio/{loop}"


@dataclass(frozen=True, slots=True)
class Connected:
    """A loop's project in Label Studio."""

    project: LoopProject
    missing: Sequence[str]
    """Names of the connections that could not be made yet: call ensure_project again later."""


def ensure_project(database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings) -> Connected:
    """Create the loop's project and connect it, as far as that is not done already.

    A connection that Label Studio refuses for good is logged and left out. Nothing depends on one: answers are pulled
    without a doorbell too.
    """
    row = _find_or_create(database, gateway, spec)
    project = check_is_ours(gateway, row)
    project = ask_as_many(database, gateway, spec, apply_spec(database, gateway, project, spec, row))
    adjudicating.keep_tab(database, gateway, spec, row, gateway.views(row.id))
    connections = {"webhook": _webhook, "tab": _tab, "ML backend": _ml_backend}
    made = {what: _tried(what, connect, gateway, project, spec, settings) for what, connect in connections.items()}
    missing = [what for what, done in made.items() if not done]
    keep_order(gateway, gateway.project(project.id), row.model_version)
    with database.transaction() as conn:
        projects.made(conn, spec.name, project.id, gateway.url)
    return Connected(replace(row, project_id=project.id, label_studio_url=gateway.url), missing)


def _find_or_create(database: Database, gateway: Gateway, spec: LoopSpec) -> LoopProject:
    """Return the loop's project: a stored one, one found by the mark in its description, or a new one."""
    with database.transaction() as conn:
        projects.intend(conn, spec.name, gateway.url, secrets.token_bytes(32))
        row = projects.get(conn, spec.name)
    assert row is not None
    if row.project_id is not None:
        return row
    found = gateway.find_projects(mark(row))
    if not found:
        with database.transaction() as conn:
            mine = projects.claim_creation(conn, spec.name, CREATION_GRACE_S)
        if not mine:
            raise Unreachable(f"the project of loop {spec.name!r} is being created at this moment")
        found = [_create(database, gateway, row, spec).id]
    with database.transaction() as conn:
        projects.made(conn, spec.name, found[0], gateway.url)
    return replace(row, project_id=found[0])


def _create(database: Database, gateway: Gateway, row: LoopProject, spec: LoopSpec) -> Project:
    try:
        return gateway.create_project(
            **texts_of(database, spec, mark(row)).wanted,
            label_config=sent(spec.labels_xml),
            sampling=SAMPLING,
            maximum_annotations=spec.overlap,
            skip_queue=SKIP_QUEUE,
            show_collab_predictions=True,
            enable_empty_annotation=empty_is_an_answer(spec.config),
            model_version=row.model_version,
        )
    except (Unreachable, Refused):
        with database.transaction() as conn:
            projects.give_up_creation(conn, spec.name)
        raise


def check_is_ours(gateway: Gateway, row: LoopProject) -> Project:
    """Return the project if its mark is ours: a Label Studio that was restored or set up anew uses ids again."""
    try:
        project = gateway.project(row.id)
    except Refused as exc:
        if exc.status != 404:
            raise
        raise Failed(
            f"project {row.id} of loop {row.loop!r} is gone from Label Studio at {gateway.url}. Restore "
            f"it there, or make a new one: labelloop project recreate --loop {row.loop}. Every answer that was "
            "pulled is still in Postgres"
        ) from exc
    if mark(row) not in project.description:
        raise Failed(
            f"project {project.id} of Label Studio at {gateway.url} does not belong to loop {row.loop!r}: its "
            f"description does not have the mark {mark(row)}"
        )
    return project


def keep_order(gateway: Gateway, project: Project, version: str) -> None:
    """Restore the settings by which Label Studio orders tasks. People change them, and so does a new connection.

    `version`: Label Studio ranks by the order scores of this version's predictions.
    """
    wanted = {
        "sampling": (project.sampling, SAMPLING),
        # Without this, Label Studio shows no prelabel and serves tasks at random.
        "show_collab_predictions": (project.shows_predictions, True),
        "show_overlap_first": (project.overlap_first, False),
        "annotator_evaluation_enabled": (project.evaluates_people, False),
        "skip_queue": (project.skip_queue, SKIP_QUEUE),
    }
    if changes := _changes(wanted):
        project = gateway.update_project(project.id, **changes)
    if project.model_version != version:
        try:
            gateway.update_project(project.id, model_version=version)
        except Refused:
            # Label Studio accepts only a version that some prediction has: the first import brings one.
            logger.debug("no prediction yet of version %s", version)


def apply_spec(database: Database, gateway: Gateway, project: Project, spec: LoopSpec, row: LoopProject) -> Project:
    """Update the project's form and its texts to those of the spec.

    The texts have examples. They stay while a removal of data is not finished, and are made again after one that came
    in between.
    """
    wanted = {"enable_empty_annotation": (project.takes_empty, empty_is_an_answer(spec.config))}
    texts = texts_of(database, spec, mark(row))
    changes = _changes(wanted)
    if not texts.removals.unfinished:
        changes |= signposts.changed(spec, project, texts.wanted, texts.written)
    if not same_form(spec.labels_xml, project.labels_xml):
        changes["label_config"] = sent(spec.labels_xml)
        look_at_form(database, spec, row.instance, project)
    if changes:
        project = gateway.update_project(project.id, **changes)
    if texts.removals.unfinished:
        return project
    with database.transaction() as conn:
        if (ours := signposts.ours(project, texts.wanted, texts.written)) != texts.written:
            projects.set_words(conn, spec.name, ours)
        again = proofs.removals(conn, spec.name) != texts.removals
    return apply_spec(database, gateway, project, spec, row) if again else project


def first_tasks(database: Database, gateway: Gateway, spec: LoopSpec, row: LoopProject) -> None:
    """Update the project's texts and its tab after the first tasks, without waiting for the next check."""
    project = gateway.project(row.id)
    signposts.keep_tab(gateway, apply_spec(database, gateway, project, spec, row), spec)


def _changes(wanted: Mapping[str, tuple[object, object]]) -> dict[str, object]:
    """Return the wanted values that differ from the present ones. `wanted`: name to the present and wanted value."""
    return {name: want for name, (has, want) in wanted.items() if has != want}


def _webhook(gateway: Gateway, project: Project, spec: LoopSpec, settings: Settings) -> bool:
    """Keep one webhook to our doorbell, and delete other webhooks of the loop."""
    if not settings.hook_secret:
        return True
    url = settings.sync_url.rstrip("/") + hook_path(spec.name)
    headers = {HOOK_HEADER: settings.hook_secret}
    standing = False
    for hook in gateway.webhooks(project.id):
        if not hook.url.endswith(hook_path(spec.name)):
            continue
        asked = (hook.url, hook.is_active, hook.headers, set(hook.actions or ()), bool(hook.send_for_all_actions))
        if not standing and not hook.send_payload and asked == (url, True, headers, set(HOOK_ACTIONS), False):
            standing = True
        else:  # also at a former address of the service, for which every click would wait in vain
            gateway.delete_webhook(hook.id)
    if standing:
        return True
    gateway.create_webhook(
        project.id, url=url, headers=headers, actions=list(HOOK_ACTIONS), send_payload=False, send_for_all_actions=False
    )
    return True


def _tab(gateway: Gateway, project: Project, spec: LoopSpec, settings: Settings) -> bool:
    signposts.keep_tab(gateway, project, spec)
    return True


def _ml_backend(gateway: Gateway, project: Project, spec: LoopSpec, settings: Settings) -> bool:
    """Connect the backend service; False while it does not answer, since Label Studio checks its health first."""
    if not settings.backend_password:
        return True
    url = settings.backend_url.rstrip("/")
    fields = {"url": url, "title": ML_TITLE, "is_interactive": False, "auth_method": "BASIC_AUTH"}
    fields |= {"basic_auth_user": settings.backend_user, "basic_auth_pass": settings.backend_password}
    standing = [backend for backend in gateway.ml_backends(project.id) if backend.title == ML_TITLE]
    here = [backend for backend in standing if backend.url.rstrip("/") == url]
    for backend in standing:
        if backend not in here:  # a former address, which Label Studio would go on asking
            gateway.delete_ml_backend(backend.id)
    try:
        _connect_ml_backend(gateway, project.id, here, fields)
    except Refused as exc:
        if exc.status != 400:
            raise
        return False
    if any(str(backend.state) == DISCONNECTED for backend in here):
        return False  # it may have another password when it is back
    _delete_ml_webhooks(gateway, project.id, url)
    return True


def _connect_ml_backend(
    gateway: Gateway, project_id: ProjectId, here: Sequence[Any], fields: Mapping[str, Any]
) -> None:
    """Create the connection, or renew the password of those that are `here` already."""
    if not here:
        gateway.create_ml_backend(project_id, **fields)
    for backend in here:
        # Label Studio never shows its stored password, but lists the error with which the backend refuses it.
        if UNAUTHORIZED in (backend.error_message or ""):
            gateway.update_ml_backend(backend.id, project=project_id, **fields)


def _delete_ml_webhooks(gateway: Gateway, project_id: ProjectId, url: str) -> None:
    """Delete the webhook that Label Studio adds to an ML backend: it sends every payload, without the password."""
    for hook in gateway.webhooks(project_id):
        if hook.url.rstrip("/") == f"{url}/webhook":
            gateway.delete_webhook(hook.id)


def _tried(
    what: str,
    connect: Callable[[Gateway, Project, LoopSpec, Settings], bool],
    gateway: Gateway,
    project: Project,
    spec: LoopSpec,
    settings: Settings,
) -> bool:
    try:
        return connect(gateway, project, spec, settings)
    except Refused as exc:
        logger.warning("loop %s works without its %s: %s", spec.name, what, exc)
        return True
    except Ambiguous:
        return False  # the next call finds out whether it was made


def mark(row: LoopProject) -> str:
    """Return the text in a project's description by which the loop knows it."""
    return f"labelloop:{row.instance}"
