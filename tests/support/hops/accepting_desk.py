"""A loop `pets` with a promise about what passes unseen, and people whose answers chance chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from backend.train.certify import certify
from labelloop.spec.accept import Accept
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.promises.certificates import Certificate
from tests.support.backend_factory import answer
from tests.support.hops.answering_desk import Desk

YAML = """feedback_loop:
  trigger: "model_confidence < 0.5"
  labels: [cat, dog, eel]
  holdout: 0.4
  audit: 0.4
  accept: {error: 0.05, confidence: 0.95}
"""
SPEC = parse("pets", YAML)
PER_REQUEST = 400


class AcceptingDesk(Desk):
    """A desk whose pipeline says `cat`, `dog` or `eel` with a confidence of 0.5 to 1."""

    def __init__(self, database: Database, *, of: LoopSpec = SPEC, seed: int = 5) -> None:
        super().__init__(database, of=of)
        self.rng = np.random.default_rng(seed)
        self.said: dict[str, str] = {}
        self.confidences: dict[str, float] = {}

    def send(
        self,
        begin: str,
        n: int,
        *,
        version: str = "m1",
        confidences: Sequence[float] | None = None,
        labels: Sequence[str] = ("cat", "dog", "eel"),
        **more: Any,
    ) -> list[dict[str, Any]]:
        """Submit `n` outputs, named begin-0 and so on; return what the intake says of them."""
        found: list[dict[str, Any]] = []
        given = confidences or (1 - 0.5 * self.rng.beta(1, 8, n)).tolist()
        made = []
        for i in range(n):
            key, label = f"{begin}-{i}", labels[i % len(labels)]
            self.said[key], self.confidences[key] = label, given[i]
            made.append(
                {"key": key, "data": {"text": f"{begin} {i}"}, "label": label, "confidence": given[i],
                 "model_version": version, **more}
            )  # fmt: skip
        for start in range(0, n, PER_REQUEST):
            part = made[start : start + PER_REQUEST]
            said = self.post(*part, *part[:1])
            assert said.status_code == 201, said
            found += said.json["outputs"]
        return found

    def chosen(self, begin: str = "") -> list[tuple[UUID, str]]:
        """Outputs that chance chose among those that the trigger does not send, with their keys, in order."""
        rows = self.sql(
            "select id, key from outputs where lane in ('holdout', 'audit') and triggered is false"
            " and not exists (select from answers where output_id = outputs.id) order by received_at, key"
        )
        return [(row["id"], row["key"]) for row in rows if row["key"].startswith(begin)]

    def people_say(self, rows: Iterable[tuple[UUID, str]], wrong: Iterable[int] = ()) -> None:
        """Answer these outputs: the label is correct but for the places in `wrong`."""
        bad = set(wrong)
        labels = {
            id_: "dog" if i in bad and self.said[key] != "dog" else "cat" if i in bad else self.said[key]
            for i, (id_, key) in enumerate(rows)
        }
        with self.database.transaction() as conn:
            answer(conn, "pets", labels)

    def certify(self) -> Certificate | None:
        with self.database.transaction() as conn:
            return certify(conn, self.spec)

    def certificates(self) -> list[dict[str, Any]]:
        return self.sql("select * from certificates order by made_at")

    def states(self, begin: str) -> dict[str, int]:
        rows = self.sql(
            f"select state::text as state, count(*) as n from outputs where key like '{begin}-%' group by 1 order by 1"
        )
        return {row["state"]: row["n"] for row in rows}

    def promise(self, **changes: Any) -> Accept:
        assert self.spec.accept is not None
        return self.spec.accept.model_copy(update=changes)


def certified(desk: AcceptingDesk) -> Certificate:
    """Submit 700 outputs, have people answer those that chance chose, and certify."""
    desk.send("a", 700)
    chosen = desk.chosen()
    desk.people_say(chosen, wrong=range(0, len(chosen), 200))
    found = desk.certify()
    assert found is not None
    return found
