"""Metrics of the sync service: two processes count together, and strangers see nothing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from console.local import services
from console.local.supervisor import ROOT, python_env
from labelloop.spec.folder import parse
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from labelloop.store.tables import batches, loops
from tests.support.backend_factory import settings_for, texts_spec
from tests.support.ml_backend import series, until
from tests.support.network import sync_service
from tests.support.network.ports import free_address

TOKEN = "the-intake-token"
ENDS = ("answer", "fallback", "undecided")
"""Ways in which a hold may end."""


def test_two_processes_count_together_and_the_dead_are_forgotten(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loops.register(conn, texts_spec())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    shared = tmp_path / "metrics"
    shared.mkdir()
    (shared / f"gauge_livesum_{gone.pid}.db").write_bytes(b"")
    settings = replace(settings_for(database_url, tmp_path), intake_token=TOKEN)
    address = free_address()
    command = [sys.executable, "-m", *services.gunicorn(services.SYNC, address)]
    env = {**python_env(), **settings.to_env(), "PROMETHEUS_MULTIPROC_DIR": str(shared)}
    log = tmp_path / "sync.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        until(lambda: _answers(f"http://{address}/healthz"))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://{address}/v1/loops/texts/outputs"
        for i in range(12):  # a connection each, so that both processes get some
            said = {"key": f"k{i // 2}", "data": {"text": "x"}, "probabilities": {"ham": 0.5, "spam": 0.5}}
            assert httpx.post(url, json=said, headers=headers, timeout=60).is_success
        assert httpx.post(url, json={"key": "k"}, headers=headers, timeout=60).status_code == 422
        assert httpx.post(f"http://{address}/v1/loops/none/outputs", json={}, headers=headers).status_code == 404
        assert httpx.get(f"http://{address}/metrics", timeout=60).status_code == 401
        for _ in range(4):
            page = httpx.get(f"http://{address}/metrics", headers=headers, timeout=60).text
            found = series(page)
            assert found["labelloop_intake_outputs_total became=new loop=texts"] == 6
            assert found["labelloop_intake_outputs_total became=known loop=texts"] == 6
            assert found["labelloop_intake_outputs_total became=refused loop=texts"] == 1
            assert found["labelloop_requests_total route=submit status=404"] == 1
            assert found["labelloop_open_tasks loop=texts"] == 0
            assert TOKEN not in page
        assert not (shared / f"gauge_livesum_{gone.pid}.db").exists()
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert TOKEN not in log.read_text()


def test_budgets_outcomes_waiting_requests_callbacks_and_the_outbox_are_measured(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))  # any process may answer
    spec = parse(
        "pets",
        "feedback_loop: {trigger: model_confidence < 0.9, labels: [cat, dog], audit: 0, holdout: 0, "
        'queue: {control: 0}, budget: {per_day: 9, per_source: {mail: 4, "*": 3}, per_label: {dog: 5}}}',
    )
    headers = {"Authorization": f"Bearer {sync_service.TOKEN}"}
    with database.transaction() as conn:
        loops.register(conn, spec)
        loops.register(conn, texts_spec())
        callback, _ = registered.add(conn, None, "https://8.8.8.8/", ["output.answered"], None)
        conn.execute("insert into outbox (loop, body, written_at) values ('ghost', '{}', now() - interval '90 s')")
    with sync_service.running(database_url, tmp_path) as url, httpx.Client(headers=headers, timeout=60) as http:

        def found() -> dict[str, float]:
            page = http.get(f"{url}/metrics")
            assert page.status_code == 200
            return series(page.text)

        for i, source in enumerate(("mail", "mail", "chat", "web", "web", None)):
            said = {"key": f"k{i}", "data": {"text": "x"}, "label": "dog", "confidence": 0.5, "source": source}
            assert http.post(f"{url}/v1/loops/pets/outputs", json=said).status_code == 201
        make_tasks(database)
        before = found()
        used = {
            name.removeprefix("labelloop_budget_tasks loop=pets "): (n, before[name.replace("_tasks", "_limit")])
            for name, n in before.items()
            if name.startswith("labelloop_budget_tasks")
        }
        assert used == {
            "name= part=day": (6, 9),
            "name=mail part=source": (2, 4),
            "name=* part=source": (2, 3),
            "name=dog part=label": (6, 5),
        }
        assert before["labelloop_outbox_rows state=waiting"] == 1
        assert 90 <= before["labelloop_outbox_oldest_seconds"] < 10_000
        assert before["labelloop_waiting_requests"] == 0

        # A request that waits, and holds that end by an answer and by the deadline.
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(http.get, f"{url}/v1/loops/pets/outputs/k0/answer?wait=50")
            until(lambda: found()["labelloop_waiting_requests"] == 1)
            for _ in range(2):
                said = {"key": "k0", "reviewer_id": "anna", "approval": True}
                assert http.post(f"{url}/v1/loops/pets/feedback", json=said).is_success
            assert waits.result().json()["state"] == "answered"
        until(lambda: found()["labelloop_waiting_requests"] == 0)
        for key in ("k0", "k1", "k1", "k2"):
            fallback = {} if key == "k2" else {"fallback": "cat"}
            assert http.post(f"{url}/v1/loops/pets/outputs/{key}/outcome", json=fallback).is_success
        with database.transaction() as conn:
            conn.execute("update deliveries set last_error = 'answers 500'")
        after = found()
        ended = {name: after[f"labelloop_outcomes_total loop=pets outcome={name}"] for name in ENDS}
        assert ended == {"answer": 1, "fallback": 1, "undecided": 1}
        of_callback = f"labelloop_callback_deliveries callback={callback} state="
        assert {name: after[of_callback + name] for name in ("pending", "failing", "dead")} == {
            "pending": 1, "failing": 1, "dead": 0,
        }  # fmt: skip

        # A loop that a newer version registered, before its upgrade was taken back.
        with database.transaction() as conn:
            conn.execute("""update loops set spec = spec || '{"of_tomorrow": 1}' where name = 'pets'""")
        assert {"labelloop_outbox_rows state=waiting", "labelloop_open_tasks loop=pets"} <= found().keys()


def make_tasks(database: Database) -> None:
    """Make a task of every waiting output of `pets`."""
    with database.transaction() as conn:
        batch = batches.intend(conn, "pets", "pipeline", 6)
        for state in ("pushing", "in_review"):
            conn.execute("update outputs set state = %s::output_state where loop = 'pets'", [state])
        conn.execute(
            """
            with gone as (delete from pool where loop = 'pets' returning *)
            insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, champion,
                               ranker, shown_version)
            select output_id, loop, %s, gen_random_uuid(), row_number() over (), lane, utility, utility, champion,
                ranker, '' from gone
            """,
            [batch],
        )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
