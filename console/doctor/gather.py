"""Gathering of the facts for the checks: from Postgres, our services, Label Studio and, if known, its database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from console.doctor.calls import Backend, Hook
from console.doctor.services import LATE_S, Answer
from console.doctor.tasks import Differences, differences
from labelloop.labelstudio.inspection import Inspection
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId
from labelloop.store.database import DEADLINES, Conn
from labelloop.store.tables import tasks as task_store
from sync.project.project import HOOK_ACTIONS, HOOK_HEADER, hook_path
from sync.pull.sweep import reduce

TIMEOUT_S = 10.0
UNKNOWN_PROJECT_RING = {"action": "DOCTOR", "project": {"id": 0}}
"""A webhook call for a project that does not exist: our doorbell looks it up in Postgres and does nothing."""
TRIES = 3


def connect(url: str) -> Conn:
    """Open one connection in autocommit mode. Raises psycopg.Error with the server's message."""
    return psycopg.connect(make_conninfo(url, **DEADLINES), autocommit=True, row_factory=dict_row)


def postgres_clock(clock: float, before: float, after: float) -> tuple[float, float]:
    """Return (seconds ahead of ours, uncertainty), as Inspection.clock does; read between `before` and `after`."""
    return clock - (before + after) / 2, (after - before) / 2


def intake(settings: Settings) -> Answer:
    headers = {"Authorization": f"Bearer {settings.intake_token}"}
    return _ask("GET", settings.sync_url.rstrip("/") + "/v1/loops", headers=headers)


def doorbell(settings: Settings, loop: str) -> Answer:
    """Return the fastest of a few answers, so that a short load peak is not reported as slow."""
    headers = {HOOK_HEADER: settings.hook_secret}
    answer = _ask("POST", hook_url(settings, loop), headers=headers, json=UNKNOWN_PROJECT_RING)
    for _ in range(TRIES - 1):
        if answer.status == 0 or answer.took_s <= LATE_S:
            break
        again = _ask("POST", hook_url(settings, loop), headers=headers, json=UNKNOWN_PROJECT_RING)
        answer = min(answer, again, key=lambda a: a.took_s) if again.status else answer
    return answer


def backend(settings: Settings) -> tuple[Answer, list[str]]:
    """Return the backend's answer to our password, and the troubles that it reports."""
    url = settings.backend_url.rstrip("/")
    answer = _ask("GET", f"{url}/versions", auth=(settings.backend_user, settings.backend_password))
    if answer.status != 200:
        return answer, []
    try:
        troubles = httpx.get(f"{url}/readyz", timeout=TIMEOUT_S).json()["troubles"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as exc:
        return Answer(0, f"its state cannot be read: {type(exc).__name__}"), []
    return answer, [str(trouble) for trouble in troubles]


def hooks(studio: Inspection, project_id: ProjectId) -> list[Hook]:
    return [
        Hook(hook.url, bool(hook.is_active), dict(hook.headers or {}), _actions(hook), bool(hook.send_payload))
        for hook in studio.webhooks(project_id)
    ]


def wanted_hook(settings: Settings, loop: str) -> Hook | None:
    if not settings.hook_secret:
        return None
    return Hook(hook_url(settings, loop), True, {HOOK_HEADER: settings.hook_secret}, frozenset(HOOK_ACTIONS))


def backends(studio: Inspection, project_id: ProjectId) -> list[Backend]:
    """List the ML backends. Label Studio calls the health route of each before it answers."""
    return [
        Backend(one.title or "", one.url or "", str(one.state or ""), (one.error_message or "").strip()[:300])
        for one in studio.ml_backends(project_id)
    ]


def tasks(conn: Conn, studio: Inspection, loop: str, project: LoopProject) -> tuple[int, Differences]:
    """Return the number of tasks in Postgres, and the differences in Label Studio. Keeps only the key of each task."""
    standing = reduce(studio.all_tasks(project.id), project.signing_key)
    rows = task_store.ids(conn, loop)
    outputs = [task.output_id for task in standing if task.output_id is not None]
    states = {output_id: row.state for output_id, row in task_store.known(conn, loop, outputs).items()}
    return len(rows), differences(rows, standing, states)


def members(settings: Settings, given: str, project_id: ProjectId) -> int | None:
    """Count the ProjectMember rows of the project; None if Label Studio's database is not known."""
    url = given or _made_by_up(settings)
    if not url:
        return None
    with connect(url) as conn:
        query = "select count(*) as n from projects_projectmember where project_id = %s"
        row: Mapping[str, Any] | None = conn.execute(query, [project_id]).fetchone()
    return int(row["n"]) if row else None


def hook_url(settings: Settings, loop: str) -> str:
    return settings.sync_url.rstrip("/") + hook_path(loop)


def _made_by_up(settings: Settings) -> str:
    """Return the URL of the Label Studio database that `labelloop up` made beside ours; "" if there is none."""
    if not settings.label_studio_user:
        return ""
    at = urlsplit(settings.owner_url or settings.database_url)  # the application reads nothing of Label Studio
    url = at._replace(path=f"{at.path}_label_studio").geturl()
    try:
        connect(url).close()
    except psycopg.Error:
        return ""
    return url


def _ask(method: str, url: str, **how: Any) -> Answer:
    began = time.monotonic()
    try:
        answer = httpx.request(method, url, timeout=TIMEOUT_S, **how)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return Answer(0, f"{type(exc).__name__}: {exc}".rstrip(": "))
    took_s = time.monotonic() - began
    try:
        body = answer.json()
        return Answer(
            answer.status_code,
            str(body.get("detail") or body.get("error", "")) if isinstance(body, dict) else "",
            took_s,
        )
    except ValueError:
        return Answer(answer.status_code, "not JSON", took_s)


def _actions(hook: Any) -> frozenset[str]:
    # A webhook for all actions lists none; `*` is not one of our actions.
    return frozenset({"*"}) if hook.send_for_all_actions else frozenset(map(str, hook.actions or ()))
