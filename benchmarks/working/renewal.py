"""Time from a promotion until people get the new version's predictions, while 100,000 outputs wait in the pool.

Both workers are at work, as `labelloop up` starts them. The window is renewed when Label Studio shows the new version's
predictions and ranks by them; the rest of the pool is scored behind it.
"""

from __future__ import annotations

import time
from statistics import median

from backend.learners import Learner
from benchmarks.support.goals import RENEWAL, Measured
from benchmarks.support.items import texts_spec
from benchmarks.support.rooms import House, Servers, house, quiet, wait_until
from benchmarks.working.rescore import LENGTH, SUBMIT, VOCABULARY, a_learner, take_over
from labelloop.labelstudio.gateway import Gateway
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Queue
from labelloop.store.tables import loops
from labelloop.versions.version import short
from sync.push.push import push

LOOP, WINDOW = "renewed", 50
SHOWN = "select model_version = %(version)s as yes from projects where loop = %(loop)s"
"""Written down as soon as Label Studio has answered that it ranks by it."""
REST = (
    "select exists (select from pool where loop = %(loop)s and (champion, ranker) <> (%(version)s, %(version)s)) as yes"
)


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (5_000, 1) if quick else (100_000, 5)
    with house(servers) as whole, servers.http() as web:
        our = quiet(whole)
        spec = texts_spec(LOOP, queue=Queue(window=WINDOW))
        learners = _prepare(our, spec, n, repeats)
        try:
            with our.working("backend.worker"), our.working("sync.worker"):
                times = [_renewed(our, learner) for learner in learners]
        finally:
            our.remove_projects(web)
    shown, scored = ([time[i] for time in times] for i in (0, 1))
    return [
        Measured(
            RENEWAL,
            shown,
            f"{n:,} waiting, all of them scored anew after {median(scored):.1f} s; texts of {LENGTH} words",
        )
    ]


def _prepare(our: House, spec: LoopSpec, n: int, repeats: int) -> list[Learner]:
    with our.database.transaction() as conn:
        loops.register(conn, spec)
        conn.execute("set local statement_timeout = 0")
        conn.execute(SUBMIT, {"loop": LOOP, "n": n, "length": LENGTH, "words": VOCABULARY})
    with our.database.transaction() as conn:
        conn.execute("analyze")
        some = [row["data"] for row in conn.execute("select data from outputs limit 20000")]
    gateway = Gateway(our.settings.label_studio_url, our.settings.label_studio_token)
    push(our.database, gateway, spec, our.settings)
    gateway.close()
    return [a_learner(some, seed) for seed in range(repeats)]


def _renewed(our: House, learner: Learner) -> tuple[float, float]:
    """Seconds from the promotion until the window shows it, and until all that waits is scored by it."""
    version = short(take_over(our, LOOP, learner))
    began = time.monotonic()
    wait_until(lambda: _says(our, SHOWN, version), 300, "the new version")
    shown = time.monotonic() - began
    wait_until(lambda: not _says(our, REST, version), 300, "the rest of the pool")
    return shown, time.monotonic() - began


def _says(our: House, question: str, version: str) -> bool:
    with our.database.transaction() as conn:
        row = conn.execute(question, {"loop": LOOP, "version": version}).fetchone()
    assert row is not None
    return bool(row["yes"])
