"""A judge's loop on the real Postgres, as if people had answered some of its tasks in Label Studio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np

from labelloop.outputs.output import Output
from labelloop.queue import blind
from labelloop.queue.lanes import Lane, place
from labelloop.spec.judge import JudgeSpec
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.pipelines import blind_tasks
from labelloop.store.tables import loops, outputs
from tests.support.backend_factory import answer, put_into_label_studio, texts_spec

JUDGE = JudgeSpec(positive="pass")


def judge_spec(**changes: Any) -> LoopSpec:
    labels = changes.pop("labels", ("pass", "fail"))
    return texts_spec(labels, **{"judge": JUDGE, "holdout": 0.3, "audit": 0.1, **changes})


class Verdicts:
    """Verdicts of a judge with these rates on outputs of which `base` truly pass."""

    def __init__(self, conn: Conn, spec: LoopSpec, *, seed: int = 7) -> None:
        self.conn, self.spec, self.rng = conn, spec, np.random.default_rng(seed)
        self.truth: dict[UUID, str] = {}
        self.lane: dict[UUID, Lane] = {}
        loops.register(conn, spec)

    def come(
        self, n: int, *, tpr: float, tnr: float, base: float = 0.67, version: str = "judge-1", name: str = "k"
    ) -> list[UUID]:
        """Let `n` outputs come in, and put all that go to people into Label Studio; return their ids."""
        ids = []
        for i in range(n):
            passes = bool(self.rng.random() < base)
            right = self.rng.random() < (tpr if passes else tnr)
            said = "pass" if passes == right else "fail"
            output = Output(
                f"{name}{i}", {"text": "x"}, label=said, confidence=float(self.rng.random()), model_version=version
            )
            placed = place(output, self.spec)
            [stored], _, _ = outputs.insert(self.conn, self.spec.name, [outputs.Row.of(output, placed)])
            self.truth[stored.id], self.lane[stored.id] = "pass" if passes else "fail", placed.lane
            ids.append(stored.id)
        put_into_label_studio(self.conn, self.spec.name, n)
        return ids

    def adopt(self, truth: Mapping[str, str]) -> list[UUID]:
        """Take the outputs that a program has sent, with people's answers by key; return their ids in this order."""
        rows = self.conn.execute("select key, id, lane from outputs where loop = %s", (self.spec.name,)).fetchall()
        sent = {row["key"]: row for row in rows}
        for key, label in truth.items():
            self.truth[sent[key]["id"]], self.lane[sent[key]["id"]] = label, Lane(sent[key]["lane"])
        put_into_label_studio(self.conn, self.spec.name, len(rows))
        return [sent[key]["id"] for key in truth]

    def draw(self, ids: list[UUID], spec: LoopSpec | None = None) -> None:
        """Make these tasks blind, as a push of the loop does before it sends them. Other lanes than rule only."""
        drawn = {id_: 1.0 for id_ in ids if blind.share(spec or self.spec, self.lane[id_])}
        blind_tasks.draw(self.conn, self.spec.name, drawn, blind.form_sha256(spec or self.spec))
        # As if the task had been made after the draw, and not before.
        self.conn.execute("update blind_tasks set shown_before = false where output_id = any(%s)", [list(drawn)])

    def answer(self, ids: list[UUID], *lanes: str) -> int:
        """Let people answer those of these outputs that are in the lanes; return how many."""
        mine = [id_ for id_ in ids if self.lane[id_] in (lanes or ("holdout", "audit", "control"))]
        answer(self.conn, self.spec.name, {id_: self.truth[id_] for id_ in mine})
        return len(mine)
