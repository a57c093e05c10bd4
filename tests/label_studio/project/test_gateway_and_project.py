"""The gateway's translation of errors, both kinds of token, and the project that stands in Label Studio."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from labelloop.errors import Ambiguous, Failed, Refused, SettingsError, Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.tasks import TaskDraft
from labelloop.reading.ids import ProjectId
from labelloop.store.database import Database
from sync.project.project import ensure_project
from tests.support.ml_backend import ml_backend
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

LEGACY = "0" * 40
DRAFT = TaskDraft(uuid4(), {"text": "x"}, [], 0.5, "pipeline")


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def test_a_personal_token_works_like_a_legacy_one(label_studio: LabelStudio) -> None:
    email = f"{uuid4().hex}@gateway.example.org"
    _, session = label_studio.sign_up(email)
    session.headers["X-CSRFToken"] = session.cookies.get("csrftoken") or ""
    gateway = Gateway(label_studio.url, session.post("/api/token/").raise_for_status().json()["token"])
    assert gateway.version().startswith("1.")
    assert gateway.users()[gateway.whoami()] == (email, email.partition("@")[0])
    gateway.close()


def test_a_task_that_somebody_else_deleted_counts_as_deleted(loop: SyncLoop) -> None:
    project = ensure_project(loop.database, loop.gateway, loop.spec, loop.settings).project.id
    (task,) = loop.gateway.import_tasks(project, [DRAFT])
    loop.gateway.delete_task(task)
    loop.gateway.delete_task(task)
    assert loop.gateway.tasks(project, [task]) == []


def test_tasks_that_two_callers_delete_at_the_same_time_are_gone_for_both(
    loop: SyncLoop, label_studio: LabelStudio
) -> None:
    """Label Studio answers 500 where one of them takes a task away while the other takes away its predictions."""
    project = ensure_project(loop.database, loop.gateway, loop.spec, loop.settings).project.id
    tasks = loop.gateway.import_tasks(project, [replace(DRAFT, output_id=uuid4()) for _ in range(20)])
    label = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["cat"]}}]
    for version in ("a", "b", "c"):
        loop.gateway.import_predictions(
            project, [{"task": task, "result": label, "score": 0.5, "model_version": version} for task in tasks]
        )
    other = Gateway(label_studio.url, label_studio.token)
    with ThreadPoolExecutor(2) as callers:
        for task in tasks:
            both = [callers.submit(gateway.delete_task, task) for gateway in (loop.gateway, other)]
            assert [one.result() for one in both] == [None, None]
    other.close()
    assert loop.gateway.tasks(project, tasks) == []


def test_annotations_are_counted_where_label_studios_own_count_of_them_is_wrong(loop: SyncLoop) -> None:
    """It sets its count back when predictions come in at that moment, and does not count while a project is deleted."""
    project = ensure_project(loop.database, loop.gateway, loop.spec, loop.settings).project.id
    (task,) = loop.gateway.import_tasks(project, [DRAFT])
    loop.annotate(task, "cat")
    loop.annotate(task, "dog", skip=True)
    wrong = loop.web.patch(f"/api/tasks/{task}/", json={"total_annotations": 0, "is_labeled": False})
    assert wrong.raise_for_status().json()["total_annotations"] == 0
    for seen in (*loop.gateway.all_tasks(project), *loop.gateway.tasks(project, [task])):
        assert seen.annotated == 2


def test_a_token_that_nobody_can_use_is_a_setting_that_is_wrong() -> None:
    expired = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln"
    with pytest.raises(SettingsError, match="LABELLOOP_LABEL_STUDIO_TOKEN"):
        Gateway("http://127.0.0.1:9", expired)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", Refused),
        (b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", Refused),
        (b"HTTP/1.1 201 Yes\r\nContent-Length: 2\r\n\r\n{}", Ambiguous),
        (b'HTTP/1.1 201 Yes\r\nContent-Length: 18\r\n\r\n{"task_ids":["1"]}', Ambiguous),
        (b'HTTP/1.1 201 Yes\r\nContent-Length: 18\r\n\r\n{"task_ids":[1,2]}', Ambiguous),
        (b"HTTP/1.1 201 Yes\r\nContent-Length: 9\r\n\r\nnot json!", Ambiguous),
        (b"HTTP/1.1 302 Over there\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", Ambiguous),
        (b"nonsense\r\n\r\n", Ambiguous),
        (b"HTTP/1.1 409 Wait\r\nContent-Length: 0\r\n\r\n", Ambiguous),
        (b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", Ambiguous),
        (b"", Ambiguous),
    ],
)
def test_every_answer_to_an_import_is_clear_or_ambiguous_and_it_is_sent_once(
    answer: bytes, error: type[Exception]
) -> None:
    with mute_server(answer) as (url, requests):
        gateway = Gateway(url, LEGACY)
        with pytest.raises(error):
            gateway.import_tasks(ProjectId(1), [DRAFT])
        assert len(requests) == 1
        gateway.close()


def test_without_anybody_there_nothing_has_happened() -> None:
    with pytest.raises(Unreachable):
        Gateway("http://127.0.0.1:9", LEGACY).import_tasks(ProjectId(1), [DRAFT])


def test_the_project_is_as_the_spec_says_and_stays_one(loop: SyncLoop, tmp_path: Path) -> None:
    with ml_backend(loop.settings, loop.database, tmp_path) as url:
        settings = replace(
            loop.settings, hook_secret="s", sync_url="http://127.0.0.1:1", backend_url=url, backend_password="p"
        )
        first = ensure_project(loop.database, loop.gateway, loop.spec, settings)
        loop.web.patch(
            f"/api/projects/{first.project.id}/",
            json={"sampling": "Sequential sampling", "show_collab_predictions": False, "maximum_annotations": 5},
        ).raise_for_status()
        again = ensure_project(loop.database, loop.gateway, loop.spec, settings)
    assert first.missing == again.missing == []
    assert again.project.id == first.project.id
    row = loop.web.get(f"/api/projects/{loop.project_id}/").json()
    assert row["sampling"] == "Uncertainty sampling"
    assert row["maximum_annotations"] == 1
    assert row["show_collab_predictions"] is True
    assert [hook.url for hook in loop.gateway.webhooks(loop.project_id)] == [
        "http://127.0.0.1:1/hooks/label-studio/pets"
    ]
    assert [one.url for one in loop.gateway.ml_backends(loop.project_id)] == [url]

    loop.submit(1)
    loop.push()
    assert loop.gateway.project(loop.project_id).model_version == "pipeline"


def test_a_service_that_has_moved_is_called_at_its_new_address_alone(loop: SyncLoop, tmp_path: Path) -> None:
    settings = replace(loop.settings, hook_secret="s", backend_password="p")
    with ml_backend(settings, loop.database, tmp_path) as old, ml_backend(settings, loop.database, tmp_path) as new:
        for port, url in ((1, old), (2, new)):
            moved = replace(settings, sync_url=f"http://127.0.0.1:{port}", backend_url=url)
            ensure_project(loop.database, loop.gateway, loop.spec, moved)
        assert [one.url for one in loop.gateway.ml_backends(loop.project_id)] == [new]
    assert [hook.url for hook in loop.gateway.webhooks(loop.project_id)] == [
        "http://127.0.0.1:2/hooks/label-studio/pets"
    ]


def test_a_new_password_of_the_ml_backend_reaches_label_studio(loop: SyncLoop, tmp_path: Path) -> None:
    with ml_backend(loop.settings, loop.database, tmp_path) as url:
        settings = replace(loop.settings, backend_url=url, backend_password="p")
        ensure_project(loop.database, loop.gateway, loop.spec, settings)
        (first,) = loop.gateway.ml_backends(loop.project_id)
    away = ensure_project(loop.database, loop.gateway, loop.spec, replace(settings, backend_password="new"))
    port = int(url.rsplit(":", 1)[1])
    with ml_backend(loop.settings, loop.database, tmp_path, password="new", port=port):
        (before,) = loop.gateway.ml_backends(loop.project_id)
        with_the_old_one = ensure_project(loop.database, loop.gateway, loop.spec, settings)
        rotated = ensure_project(loop.database, loop.gateway, loop.spec, replace(settings, backend_password="new"))
        (after,) = loop.gateway.ml_backends(loop.project_id)
    assert away.missing == ["ML backend"]  # looked at again soon: a backend that is away refuses no password
    assert (str(before.state), "401" in str(before.error_message)) == ("ER", True)
    assert with_the_old_one.missing == ["ML backend"]  # Label Studio tries it and refuses
    assert rotated.missing == []
    assert (after.id, str(after.state)) == (first.id, "CO")


def test_a_project_that_is_not_ours_is_left_alone(loop: SyncLoop) -> None:
    """A Label Studio that was set up anew gives the same ids to others."""
    loop.push()
    loop.web.patch(f"/api/projects/{loop.project_id}/", json={"description": "somebody's"}).raise_for_status()
    with pytest.raises(Failed, match="does not have the mark"):
        ensure_project(loop.database, loop.gateway, loop.spec, loop.settings)


@contextmanager
def mute_server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Gives every request this answer, and closes the line."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                with line:
                    requests.append(line.recv(65_536))
                    line.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()
