"""A loop of texts whose challengers are judged in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.train.retrain import _apply
from backend.train.train import train
from labelloop.process.settings import Settings
from labelloop.spec.gate import GateSpec
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.tables import loops, runs, versions
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import answer, submit, texts_spec

LABELS = ("ham", "spam")


WORDS = "amber birch cedar delta ember frost grove haven inlet jewel".split()


def truth(i: int) -> str:
    return LABELS[(i * 7 // 3) % 2]


def texts_loop(database: Database, answered: int = 60, n: int = 120, **gate: Any) -> LoopSpec:
    """Texts that are told apart easily, of which the first are answered; the pipeline has half of them right."""
    spec = texts_spec(holdout=0.4, gate=GateSpec(**gate), retrain=Retrain(search=False, after=10_000))
    data = [
        {"text": f"{truth(i)} {WORDS[i % 10]} {WORDS[i // 10 % 10]}", "country": "cl" if i % 3 else "pe"}
        for i in range(n)
    ]
    with database.transaction() as conn:
        ids = submit(conn, spec, data, [truth(i) for i in range(n)])
        answer(conn, spec.name, {ids[f"item-{i}"]: truth(i) for i in range(answered)})
    return spec


def answer_more(database: Database, start: int, end: int, said: Callable[[int], str] = truth) -> None:
    with database.transaction() as conn:
        rows = conn.execute("select id, key from outputs").fetchall()
        ids = {row["key"]: row["id"] for row in rows}
        answer(conn, "texts", {ids[f"item-{i}"]: said(i) for i in range(start, end)})


def judged(database: Database, settings: Settings) -> RetrainRun:
    """A whole run but for its process: what the worker does with what the child says. Returns its row."""
    with database.transaction() as conn:
        spec = loops.get(conn, "texts")
        champion = versions.champion(conn, "texts")
        epoch = versions.epoch(conn, "texts")
        runs.request(conn, "texts", "a test")
        run = runs.claim(conn, "texts", None if champion is None else champion.id)
    assert spec is not None
    assert run is not None
    _apply(database, settings, spec, run, epoch, train(database, settings.models_dir, run.id))
    return row_of(database, run)


def row_of(database: Database, run: RetrainRun) -> RetrainRun:
    with database.transaction() as conn:
        found = runs.get(conn, run.id)
    assert found is not None
    return found


def champion_of(database: Database) -> str | None:
    with database.transaction() as conn:
        champion = versions.champion(conn, "texts")
    return None if champion is None else champion.id


def decisions(database: Database) -> list[tuple[Any, ...]]:
    with database.transaction() as conn:
        rows = conn.execute("select run_id, decision, by, why from decisions order by id").fetchall()
    return [tuple(row.values()) for row in rows]
