"""`labelloop demo` as its users run it, while every child is killed once: nothing is lost, nothing is there twice.

The figures that it writes are compared with what Label Studio's API and SQL say when they are asked directly.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from console.local.leftovers import left_behind
from console.local.supervisor import ROOT
from labelloop.process.settings import Settings
from tests.support.network.ports import free_base, heed_ctrl_c

ROUNDS, PER_ROUND = 3, 30
VICTIMS = ("backend.worker", "sync.worker", "core.wsgi:application", "sync.service:", "backend.service:", "/data")
"""A word in the command of each child, in the order in which they are killed; the last is Postgres."""


@pytest.mark.timeout(600)
def test_the_loop_closes_while_every_child_is_killed_once(tmp_path: Path) -> None:
    data_dir, figures = tmp_path / "data", tmp_path / "figures.json"
    tmp_path.chmod(0o711)
    command = [
        *(sys.executable, "-m", "labelloop", "demo", "--data-dir", str(data_dir), "--json", str(figures)),
        *("--rounds", str(ROUNDS), "--per-round", str(PER_ROUND), "--port-base", str(free_base())),
    ]
    log = tmp_path / "log"
    env = {k: v for k, v in os.environ.items() if not k.startswith("LABELLOOP_")}
    heed_ctrl_c()
    demo = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log.open("w"), stderr=subprocess.STDOUT)
    try:
        _wait(lambda: "simulated annotators" in log.read_text(), demo, log)
        for victim in VICTIMS:
            _wait(lambda victim=victim: _kill(data_dir, victim), demo, log)
            time.sleep(1.5)
        assert not figures.exists(), "the demo was over before the last child was killed"
        _wait(figures.exists, demo, log)
        shown = json.loads(figures.read_text())
        settings = Settings.from_env({"LABELLOOP_DATA_DIR": str(data_dir)})
        _agrees(shown, settings)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(120) == 0
        assert left_behind(data_dir) == []
    finally:
        demo.kill()
        subprocess.run([*command[:3], "down", "--purge", "--data-dir", str(data_dir)], cwd=ROOT, check=True)

    assert (shown["lost"], shown["duplicated"]) == (0, 0), shown["losses"]
    assert shown["submitted"] == 1_400
    assert shown["passed"] > 0
    assert shown["answered"] == shown["label_studio"]["annotations"] == ROUNDS * PER_ROUND
    assert [r["answers"] for r in shown["rounds"]] == [PER_ROUND * (n + 1) for n in range(ROUNDS)]
    assert all(r["reasons"] and 0 < r["test_accuracy"] < 1 for r in shown["rounds"])
    assert shown["rounds"][-1]["random_test_accuracy"] is not None


def _agrees(shown: dict[str, Any], settings: Settings) -> None:
    """The demo's figures are those that anybody gets who asks Postgres and Label Studio."""
    with psycopg.connect(settings.database_url) as conn:
        states: dict[str, int] = dict(conn.execute("select state::text, count(*) from outputs group by 1").fetchall())
        tables = {
            name: conn.execute(f"select count(*) from {name}").fetchone()[0]  # type: ignore[index]
            for name in ("outputs", "annotations", "feedback")
        }
        (project_id,) = conn.execute("select project_id from projects").fetchone() or (0,)
    assert shown["postgres"] == tables
    assert sum(states.values()) == shown["submitted"]
    for state in ("passed", "in_review", "answered"):
        assert shown[state] == states[state]
    answer = httpx.get(
        f"{settings.label_studio_url}/api/tasks/",
        params={"project": project_id, "page_size": 5_000, "fields": "all"},
        headers={"Authorization": f"Token {settings.label_studio_token}"},
        timeout=60,
    )
    tasks = answer.raise_for_status().json()["tasks"]
    assert shown["label_studio"]["tasks"] == len(tasks)
    # Not by Label Studio's own count: it is set after the annotation, and an import of predictions may set it back.
    assert shown["label_studio"]["annotations"] == sum(len(t["annotations"]) for t in tasks)
    assert max(Counter(t["data"]["labelloop_output"] for t in tasks).values()) == 1


def _kill(data_dir: Path, word: str) -> bool:
    """SIGKILL for the child with this word in its command; False while it is not there."""
    for process in left_behind(data_dir):
        try:
            parent = process.parent()
            if parent and "circus.circusd" in parent.cmdline() and any(word in w for w in process.cmdline()):
                process.kill()
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def _wait(until: Any, demo: subprocess.Popen[bytes], log: Path) -> None:
    while not until():
        assert demo.poll() is None, log.read_text()
        time.sleep(0.2)
