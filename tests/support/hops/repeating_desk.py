"""A loop `pets` that reuses answers, with people who answer over HTTP and in Label Studio."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.hops.answering_desk import Desk


class RepeatingDesk(Desk):
    """A desk whose loop has `reuse_answers: true`."""

    def __init__(self, database: Database, **changes: Any) -> None:
        super().__init__(database, overlap=changes.get("overlap", 1))
        self.change(**{"reuse_answers": True, **changes})

    def change(self, **changes: Any) -> None:
        """Change the loop's spec."""
        self.spec = self.spec.model_copy(update=changes)
        with self.database.transaction() as conn:
            loops.register(conn, self.spec)

    def send(self, key: str, text: str, **changes: Any) -> list[dict[str, Any]]:
        """Submit an output about this text, and return what the intake says of it."""
        body = {"key": key, "data": {"text": text}, "label": "cat", "confidence": 0.6, "model_version": "7", **changes}
        said = self.post(body)
        assert said.status_code in (200, 201), said
        outputs: list[dict[str, Any]] = said.json["outputs"]
        return outputs

    def id(self, key: str) -> UUID:
        return UUID(self.status(key)["id"])

    def counts(self) -> dict[str, int]:
        names = ("answers", "feedback", "pool", "repeats")
        return {name: self.sql(f"select count(*) as n from {name}")[0]["n"] for name in names}
