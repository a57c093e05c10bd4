"""Factories for tests of the review pages: loops with judged runs, as a worker leaves them in Postgres."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from backend.decide.judge import judge
from backend.decide.promote import switch
from backend.train.train import train
from labelloop.store.database import Database
from labelloop.store.tables import loops, runs, versions
from tests.support.backend_factory import answer, digits_loop, put_into_label_studio, scans

FELL = {"by": "source", "value": "scanner 2", "n": 24, "champion": 0.9, "challenger": 0.7, "gain": -0.2, "low": -0.35,
        "high": -0.05, "fell": True}  # fmt: skip


def judged_loop(database: Database, models_dir: Path, last: str = "asking") -> tuple[UUID, UUID]:
    """A loop of digits in Label Studio's project 30, with a promoted version and, after more answers, a second run.

    150 outputs stand in Label Studio as tasks. Returns both runs.
    """
    spec = digits_loop(database, n=240, answered=60)
    with database.transaction() as conn:
        put_into_label_studio(conn, spec.name, 150)
        conn.execute("update tasks set instance = (select instance from projects)")
    first = judged_run(database, models_dir, spec.name, "promoted")
    _, truths = scans()
    with database.transaction() as conn:
        rows = conn.execute("select id, key from outputs where loop = %s", (spec.name,)).fetchall()
        ids = {row["key"]: row["id"] for row in rows}
        answer(conn, spec.name, {ids[f"item-{i}"]: truths[i] for i in range(60, 200)})
    return first, judged_run(database, models_dir, spec.name, last)


def judged_run(database: Database, models_dir: Path, loop: str, status: str) -> UUID:
    """A run that really trained and was judged by the real gate; its status is `status`, whatever the gate said.

    `promoted` makes it champion. To what the gate measured a slice is added that fell.
    """
    with database.transaction() as conn:
        spec = loops.get(conn, loop)
        champion = versions.champion(conn, loop)
        runs.request(conn, loop, "60 new answers")
        run = runs.claim(conn, loop, None if champion is None else champion.id)
        epoch = versions.epoch(conn, loop)
    assert spec is not None
    assert run is not None
    run_id: UUID = run.id
    outcome = train(database, models_dir, run_id)
    decision, scores = judge(database, spec, run, outcome)
    scores["slices"] = [*scores["slices"], FELL]
    with database.transaction() as conn:
        runs.finish(conn, run_id, status, reasons=decision.reasons, version_id=outcome["version"], scores=scores)
        if status == "promoted":
            switch(conn, loop, outcome["version"], by="gate", why=decision.reasons[0], epoch=epoch)
    return run_id
