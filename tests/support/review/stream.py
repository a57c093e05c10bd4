"""A stream of texts on the real Postgres: a pipeline whose errors grow with its doubt, and a champion."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import numpy as np

from labelloop.outputs.output import Output
from labelloop.queue.lanes import Placement, place
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import loops, outputs, versions
from labelloop.versions.version import Stage
from tests.support.backend_factory import answer, texts_spec

N = 1200
RANDOM = ("holdout", "control", "audit")


def a_spec(**changes: Any) -> LoopSpec:
    spec = texts_spec(audit=0.1, holdout=0.2, **changes)
    return spec.model_copy(update={"queue": spec.queue.model_copy(update={"control": 0.2})})


class Stream:
    """Outputs whose pipeline always says `ham`, and is incorrect the more often the less it is confident."""

    def __init__(self, conn: Conn, spec: LoopSpec, n: int = N) -> None:
        rng = np.random.default_rng(3)
        loops.register(conn, spec)
        self.spec = spec
        self.truth: dict[UUID, str] = {}
        self.placed: dict[UUID, Placement] = {}
        for i, confidence in enumerate(1 - rng.beta(1, 4, n)):
            output = Output(f"k{i}", {"text": "x"}, label="ham", confidence=float(confidence), model_version="m")
            placed = place(output, spec)
            [stored], _, _ = outputs.insert(conn, spec.name, [outputs.Row.of(output, placed)])
            self.truth[stored.id] = "spam" if rng.random() < 1.2 * (1 - confidence) ** 1.5 else "ham"
            self.placed[stored.id] = placed
        conn.execute(
            "update outputs set received_at = now() - interval '60 day' + substr(key, 2)::int * interval '1 h'"
            " where loop = %s",
            [spec.name],
        )

    def first(self, lane: str, share: float) -> list[UUID]:
        """The outputs of a lane that people see first."""
        members = [id_ for id_, placed in self.placed.items() if placed.lane == lane]
        members.sort(key=lambda id_: -(self.placed[id_].utility or 0))
        return members[: round(share * len(members))]

    def answer(self, conn: Conn, **shares: float) -> None:
        ids = [id_ for lane, share in shares.items() for id_ in self.first(lane, share)]
        answer(conn, self.spec.name, {id_: self.truth[id_] for id_ in ids})

    def rate(self, *, triggered: bool | None = None) -> float:
        wrong = [
            self.truth[id_] == "spam" for id_, p in self.placed.items() if triggered is None or p.triggered is triggered
        ]
        return sum(wrong) / len(wrong)


CHAMPION = "c" * 64


def with_sources(conn: Conn, stream: Stream) -> None:
    conn.execute(
        "update outputs set source = case when substr(key, 2)::int % 3 = 0 then 'shop' end where loop = 'texts'"
    )
    stream.answer(conn, rule=0.2, control=1.0, audit=1.0, holdout=1.0)


def promote(conn: Conn, loop: str) -> None:
    versions.insert(conn, loop, CHAMPION, learner="text", classes=["ham"], size_bytes=1, trained_on=1)
    versions.set_stage(conn, CHAMPION, Stage.CHAMPION)
    versions.record_promotion(conn, loop, epoch=1, version_id=CHAMPION, previous_id=None, by="a test", why="to see")


def predict(conn: Conn, stream: Stream, right: float) -> dict[str, str]:
    """Store the champion's predictions: answered held-out outputs in a run, and the others in the pool."""
    rng, run, said = np.random.default_rng(4), uuid4(), dict[str, str]()
    conn.execute(
        "insert into retrain_runs (id, loop, why, status, version_id, scores, finished_at, started_at)"
        " values (%s, %s, 'a test', 'promoted', %s, '{}', now(), now())",
        [run, stream.spec.name, CHAMPION],
    )
    for id_, placed in stream.placed.items():
        if placed.lane != "holdout":
            continue
        truth = stream.truth[id_]
        sure = float(rng.random() < right)
        label = truth if sure else ("spam" if truth == "ham" else "ham")
        said[str(id_)] = label
        confidence = 0.9 if sure else 0.6
        [newest] = conn.execute("select (select max(seq) from answers where output_id = %s) as seq", [id_]).fetchall()
        if newest["seq"] is None:
            conn.execute(
                "update pool set label = %s, confidence = %s, champion = %s, ranker = %s where output_id = %s",
                [label, confidence, CHAMPION[:12], CHAMPION[:12], id_],
            )
        else:
            conn.execute(
                """
                insert into run_items (run_id, output_id, part, holdout, answer_seq, label, challenger_label,
                    challenger_confidence)
                values (%s, %s, 'holdout', true, %s, %s, %s, %s)
                """,
                [run, id_, newest["seq"], truth, label, confidence],
            )
    return said
