"""A loop's project in Label Studio: made once, found again, and kept as the loop's spec says."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from labelloop.answers.unreadable import empty_is_an_answer
from labelloop.errors import Ambiguous, Failed, Refused, Unreachable
from labelloop.labeling.form_xml import same_form, sent
from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import pool, projects
from sync.project import signposts

logger = logging.getLogger(__name__)

CREATION_GRACE_S = 30.0
"""How long a creation whose answer was lost may still take effect."""
SAMPLING = "Uncertainty sampling"
ML_TITLE = "labelloop"
DISCONNECTED = "DI"
"""Label Studio's state of an ML backend that does not answer."""
UNAUTHORIZED = "401 Client Error"
"""Stands in the error that Label Studio lists for an ML backend that refuses its password."""
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
    """Names of what is not connected yet: call ensure_project again later."""


def ensure_project(database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings) -> Connected:
    """Create the loop's project and connect it, as far as that is not done already.

    What Label Studio refuses for good is logged and left out: nothing depends on it, since answers are also looked for
    without a doorbell.
    """
    row = _stand(database, gateway, spec)
    project = check_is_ours(gateway, row)
    project = _as_the_spec_says(database, gateway, project, spec, row)
    connections = {"webhook": _webhook, "tab": _tab, "ML backend": _ml_backend}
    made = {what: _tried(what, connect, gateway, project, spec, settings) for what, connect in connections.items()}
    missing = [what for what, done in made.items() if not done]
    keep_order(gateway, gateway.project(project.id), row.model_version)
    with database.transaction() as conn:
        projects.made(conn, spec.name, project.id, gateway.url)
    return Connected(replace(row, project_id=project.id, label_studio_url=gateway.url), missing)


def _stand(database: Database, gateway: Gateway, spec: LoopSpec) -> LoopProject:
    """The row with its project's id: known, found again by the mark that we put into its description, or made."""
    with database.transaction() as conn:
        projects.intend(conn, spec.name, gateway.url, secrets.token_bytes(32))
        row = projects.get(conn, spec.name)
    assert row is not None
    if row.project_id is not None:
        return row
    found = gateway.find_projects(_mark(row))
    if not found:
        with database.transaction() as conn:
            mine = projects.claim_creation(conn, spec.name, CREATION_GRACE_S)
        if not mine:
            raise Unreachable(f"the project of loop {spec.name!r} is just being made")
        found = [_create(database, gateway, row, spec).id]
    with database.transaction() as conn:
        projects.made(conn, spec.name, found[0], gateway.url)
    return replace(row, project_id=found[0])


def _create(database: Database, gateway: Gateway, row: LoopProject, spec: LoopSpec) -> Project:
    try:
        return gateway.create_project(
            **_words(database, row, spec)[0],
            label_config=sent(spec.labels_xml),
            sampling=SAMPLING,
            maximum_annotations=spec.overlap,
            show_collab_predictions=True,
            enable_empty_annotation=empty_is_an_answer(spec.config),
            model_version=row.model_version,
        )
    except (Unreachable, Refused):
        with database.transaction() as conn:
            projects.give_up_creation(conn, spec.name)
        raise


def check_is_ours(gateway: Gateway, row: LoopProject) -> Project:
    """The project, surely ours: a Label Studio that was set up anew, or restored, gives its ids away again."""
    try:
        project = gateway.project(row.id)
    except Refused as exc:
        if exc.status != 404:
            raise
        raise Failed(
            f"project {row.id} of loop {row.loop!r} is gone from Label Studio at {gateway.url}; restore "
            f"it there, or make a new one: labelloop project recreate --loop {row.loop}. Every answer that was "
            "pulled is still in Postgres"
        ) from exc
    if _mark(row) not in project.description:
        raise Failed(
            f"project {project.id} of Label Studio at {gateway.url} is not that of loop {row.loop!r}: its "
            f"description does not have the mark {_mark(row)}"
        )
    return project


def keep_order(gateway: Gateway, project: Project, version: str) -> None:
    """Label Studio ranks by the predictions of one version; connecting things, or people, may have changed it."""
    wanted = {
        "sampling": (project.sampling, SAMPLING),
        # Without it Label Studio shows no prelabel and serves at random.
        "show_collab_predictions": (project.shows_predictions, True),
        "show_overlap_first": (project.overlap_first, False),
        "annotator_evaluation_enabled": (project.evaluates_people, False),
    }
    if changes := _changes(wanted):
        project = gateway.update_project(project.id, **changes)
    if project.model_version != version:
        try:
            gateway.update_project(project.id, model_version=version)
        except Refused:
            # It takes only a version that some prediction has: the first import will make it known.
            logger.debug("no prediction yet of version %s", version)


def _as_the_spec_says(
    database: Database, gateway: Gateway, project: Project, spec: LoopSpec, row: LoopProject
) -> Project:
    wanted = {
        "maximum_annotations": (project.overlap, spec.overlap),
        "enable_empty_annotation": (project.takes_empty, empty_is_an_answer(spec.config)),
    }
    words, written = _words(database, row, spec)
    changes = {**_changes(wanted), **signposts.changed(spec, project, words, written)}
    if not same_form(spec.labels_xml, project.labels_xml):
        changes["label_config"] = sent(spec.labels_xml)
    if changes:
        project = gateway.update_project(project.id, **changes)
    if words != written:
        with database.transaction() as conn:
            projects.set_words(conn, spec.name, words)
    return project


def _words(database: Database, row: LoopProject, spec: LoopSpec) -> tuple[dict[str, str], Mapping[str, str]]:
    """Return what the project is to say, and what labelloop wrote last."""
    with database.transaction() as conn:
        waiting = pool.waiting(conn, spec.name, signposts.COUNTED_UP_TO + 1)
        current = projects.get(conn, spec.name)
    return signposts.words(spec, _mark(row), waiting), {} if current is None else current.words


def first_tasks(database: Database, gateway: Gateway, spec: LoopSpec, row: LoopProject) -> None:
    """Set the project's words and tab right when its first tasks have come, and not at the next look."""
    project = gateway.project(row.id)
    signposts.keep_tab(gateway, _as_the_spec_says(database, gateway, project, spec, row), spec)


def _changes(wanted: Mapping[str, tuple[object, object]]) -> dict[str, object]:
    """Of what a project has and what is wanted, the latter where they differ."""
    return {name: want for name, (has, want) in wanted.items() if has != want}


def _webhook(gateway: Gateway, project: Project, spec: LoopSpec, settings: Settings) -> bool:
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
        else:  # also where the service had another address: every click would wait for nobody to answer there
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
    """False while our backend does not answer: Label Studio asks it for its health first."""
    if not settings.backend_password:
        return True
    url = settings.backend_url.rstrip("/")
    fields = {
        "url": url,
        "title": ML_TITLE,
        "is_interactive": False,
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": settings.backend_user,
        "basic_auth_pass": settings.backend_password,
    }
    standing = [backend for backend in gateway.ml_backends(project.id) if backend.title == ML_TITLE]
    here = [backend for backend in standing if backend.url.rstrip("/") == url]
    for backend in standing:
        if backend not in here:  # where the backend was before: Label Studio would go on asking there
            gateway.delete_ml_backend(backend.id)
    try:
        if not here:
            gateway.create_ml_backend(project.id, **fields)
        for backend in here:
            # Label Studio never shows the password it holds, but lists the backend's answer to it.
            if UNAUTHORIZED in (backend.error_message or ""):
                gateway.update_ml_backend(backend.id, project=project.id, **fields)
    except Refused as exc:
        if exc.status != 400:
            raise
        return False
    if any(str(backend.state) == DISCONNECTED for backend in here):
        return False  # it may have another password when it is back
    # Label Studio connects a webhook of its own, with every payload and without the password. Ours is the doorbell.
    for hook in gateway.webhooks(project.id):
        if hook.url.rstrip("/") == f"{url}/webhook":
            gateway.delete_webhook(hook.id)
    return True


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
        logger.warning("loop %s goes on without its %s: %s", spec.name, what, exc)
        return True
    except Ambiguous:
        return False  # the next call looks whether it is there


def _mark(row: LoopProject) -> str:
    return f"labelloop:{row.instance}"
