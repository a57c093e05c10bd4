"""The lines that `up` prints after the start: one per change of state. The details are in the logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg

from console.local.supervisor import Supervisor
from labelloop.errors import LabelloopError
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, projects, runs

CHECK_EVERY_S = 3.0
UP_AGAIN_S = 5.0
"""A restarted process counts as up again after this time without an exit."""


class Watch:
    """Compares the current state with that of the previous check."""

    def __init__(self, supervisor: Supervisor, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._supervisor, self._database, self._clock = supervisor, database, clock
        self._ends = supervisor.ends().copy()
        self._down: dict[str, float] = {}
        self._loops: dict[str, str] | None = None

    def changes(self) -> Iterator[str]:
        """Yield a line for each change since the previous check. The first check of the loops yields nothing."""
        yield from self._processes()
        try:
            with self._database.transaction() as conn:
                found = dict(_lines(conn))
        except (LabelloopError, psycopg.Error):
            return  # Postgres is being restarted, or it is the user's own
        if self._loops is not None:
            yield from (line for what, line in found.items() if self._loops.get(what) != line)
        self._loops = found

    def _processes(self) -> Iterator[str]:
        now, ends = self._clock(), self._supervisor.ends().copy()
        for name in ends - self._ends:
            if name not in self._down:
                yield f"{name} has ended and is started again; why: {self._supervisor.log(name)}"
            self._down[name] = now
        self._ends = ends
        for name in [name for name, since in self._down.items() if now - since >= UP_AGAIN_S]:
            if self._supervisor.pids(name):
                del self._down[name]
                yield f"{name} is up again"


def _lines(conn: Conn) -> Iterator[tuple[str, str]]:
    """Yield (subject, line) for the project and the newest run of each loop, and for each archived loop."""
    for loop, words in loops.resting(conn).items():
        yield f"{loop} rests", f"{loop}: it was {words}"
    for loop in loops.names(conn):
        project = projects.get(conn, loop)
        if project is not None and project.project_id is not None:
            at = f"{project.label_studio_url.rstrip('/')}/projects/{project.project_id}"
            yield f"{loop} project", f"{loop}: its project in Label Studio is {at}"
        for run in runs.latest(conn, loop, 1):
            reason = run.error or (run.reasons or [run.why])[0]
            yield f"{loop} run", f"{loop}: run {str(run.id)[:8]} is {run.status}: {reason}"
