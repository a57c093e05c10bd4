"""The terminal of `up` while it runs: a line for each change of state, and none while nothing changes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from console.local.watch import UP_AGAIN_S, Watch
from labelloop.reading.ids import ProjectId
from labelloop.spec.folder import load
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects, runs

TICKETS = load(Path(__file__).parents[3] / "labeling_configs/tickets")


class Processes:
    """A supervisor's view of its processes."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter(backend=1)
        self.alive = {"backend": [7]}

    def ends(self) -> Counter[str]:
        return self.ended

    def pids(self, name: str) -> list[int]:
        return self.alive[name]

    def log(self, name: str) -> Path:
        return Path(f"/data/logs/{name}.log")


def test_a_process_that_ends_again_and_again_is_told_once_and_that_it_is_back_once(database: Database) -> None:
    processes: Any = Processes()
    now = [0.0]
    watch = Watch(processes, database, lambda: now[0])
    assert list(watch.changes()) == []
    processes.ended["backend"] += 1
    assert list(watch.changes()) == ["backend has ended and is started again; why: /data/logs/backend.log"]
    for now[0] in (1.0, 2.0, 3.0):
        processes.ended["backend"] += 1
        assert list(watch.changes()) == []
    now[0] += UP_AGAIN_S
    processes.alive["backend"] = []
    assert list(watch.changes()) == []
    processes.alive["backend"] = [8]
    assert list(watch.changes()) == ["backend is up again"]
    assert list(watch.changes()) == []


def test_projects_runs_and_rest_of_a_loop_are_told_when_they_change(database: Database) -> None:
    watch = Watch(Processes(), database)  # type: ignore[arg-type]
    with database.transaction() as conn:
        loops.register(conn, TICKETS)
        runs.request(conn, "tickets", "there before the first look")
    assert list(watch.changes()) == []
    with database.transaction() as conn:
        projects.intend(conn, "tickets", "http://ls", b"key")
        projects.made(conn, "tickets", ProjectId(7), "http://ls/")
        runs.claim(conn, "tickets", None)
        run = runs.latest(conn, "tickets", 1)[0].id
        runs.finish(conn, run, "refused", reasons=["no gain"])
    assert list(watch.changes()) == [
        "tickets: its project in Label Studio is http://ls/projects/7",
        f"tickets: run {str(run)[:8]} is refused: no gain",
    ]
    assert list(watch.changes()) == []
    with database.transaction() as conn:
        loops.archive(conn, "tickets", "ada")
    (line,) = watch.changes()
    assert line.startswith("tickets: it was archived on ")


def test_a_postgres_that_is_away_is_no_line_and_no_error() -> None:
    with Database("postgresql://u:p@127.0.0.1:9/x", wait_s=0.5) as away:
        assert list(Watch(Processes(), away).changes()) == []  # type: ignore[arg-type]
