"""What the checks look at: Postgres, our services, whom Label Studio calls, and its own database where it is known."""

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
from labelloop.store.database import DEADLINES, Conn
from labelloop.store.tables import tasks as task_store
from sync.project.project import HOOK_ACTIONS, HOOK_HEADER, hook_path
from sync.pull.sweep import reduce

PATIENCE_S = 10.0
NOBODYS = {"action": "DOCTOR", "project": {"id": 0}}
"""A ring for a project that there is not: our doorbell asks Postgres whose it is, and does nothing."""
TRIES = 3


def connect(url: str) -> Conn:
    """One connection, each statement its own transaction. Raises psycopg.Error with the server's own words."""
    return psycopg.connect(make_conninfo(url, **DEADLINES), autocommit=True, row_factory=dict_row)


def postgres_clock(clock: float, before: float, after: float) -> tuple[float, float]:
    """As Inspection.clock: `clock` was read between our `before` and `after`."""
    return clock - (before + after) / 2, (after - before) / 2


def intake(settings: Settings) -> Answer:
    headers = {"Authorization": f"Bearer {settings.intake_token}"}
    return _ask("GET", settings.sync_url.rstrip("/") + "/v1/loops", headers=headers)


def doorbell(settings: Settings, loop: str) -> Answer:
    """The quickest of a few answers, so that a machine that is busy for a moment is not called late."""
    headers = {HOOK_HEADER: settings.hook_secret}
    answer = _ask("POST", hook_url(settings, loop), headers=headers, json=NOBODYS)
    for _ in range(TRIES - 1):
        if answer.status == 0 or answer.took_s <= LATE_S:
            break
        again = _ask("POST", hook_url(settings, loop), headers=headers, json=NOBODYS)
        answer = min(answer, again, key=lambda a: a.took_s) if again.status else answer
    return answer


def backend(settings: Settings) -> tuple[Answer, list[str]]:
    """Whether it takes our password, and what troubles it."""
    url = settings.backend_url.rstrip("/")
    answer = _ask("GET", f"{url}/versions", auth=(settings.backend_user, settings.backend_password))
    if answer.status != 200:
        return answer, []
    try:
        troubles = httpx.get(f"{url}/readyz", timeout=PATIENCE_S).json()["troubles"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as exc:
        return Answer(0, f"its state cannot be read: {type(exc).__name__}"), []
    return answer, [str(trouble) for trouble in troubles]


def hooks(studio: Inspection, project_id: int) -> list[Hook]:
    return [
        Hook(hook.url, bool(hook.is_active), dict(hook.headers or {}), _actions(hook), bool(hook.send_payload))
        for hook in studio.webhooks(project_id)
    ]


def wanted_hook(settings: Settings, loop: str) -> Hook | None:
    if not settings.hook_secret:
        return None
    return Hook(hook_url(settings, loop), True, {HOOK_HEADER: settings.hook_secret}, frozenset(HOOK_ACTIONS))


def backends(studio: Inspection, project_id: int) -> list[Backend]:
    """Label Studio asks each of them for its health before it answers."""
    return [
        Backend(one.title or "", one.url or "", str(one.state or ""), (one.error_message or "").strip()[:300])
        for one in studio.ml_backends(project_id)
    ]


def tasks(conn: Conn, studio: Inspection, loop: str, project: LoopProject) -> tuple[int, Differences]:
    """How many tasks Postgres knows of, and how Label Studio differs. Of each task there only its key is kept."""
    standing = reduce(studio.all_tasks(project.id), project.signing_key)
    rows = task_store.ids(conn, loop)
    outputs = [task.output_id for task in standing if task.output_id is not None]
    states = {output_id: row.state for output_id, row in task_store.known(conn, loop, outputs).items()}
    return len(rows), differences(rows, standing, states)


def members(settings: Settings, given: str, project_id: int) -> int | None:
    """ProjectMember rows of the project; None where nobody said where Label Studio's database is."""
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
    """`labelloop up` keeps Label Studio's database beside ours, unless it has to be SQLite."""
    if not settings.label_studio_user:
        return ""
    at = urlsplit(settings.database_url)
    url = at._replace(path=f"{at.path}_label_studio").geturl()
    try:
        connect(url).close()
    except psycopg.Error:
        return ""
    return url


def _ask(method: str, url: str, **how: Any) -> Answer:
    began = time.monotonic()
    try:
        answer = httpx.request(method, url, timeout=PATIENCE_S, **how)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return Answer(0, f"{type(exc).__name__}: {exc}".rstrip(": "))
    took_s = time.monotonic() - began
    try:
        said = answer.json()
        return Answer(answer.status_code, str(said.get("error", "")) if isinstance(said, dict) else "", took_s)
    except ValueError:
        return Answer(answer.status_code, "not JSON", took_s)


def _actions(hook: Any) -> frozenset[str]:
    # A webhook for all actions names none; `*` is no action of ours.
    return frozenset({"*"}) if hook.send_for_all_actions else frozenset(map(str, hook.actions or ()))
