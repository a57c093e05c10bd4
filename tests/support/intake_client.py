"""A client of the intake, with its service in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient

from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.service import create_app

SPEC = parse("pets", "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], audit: 0.2, holdout: 0.3}")


HEADERS = {"Authorization": "Bearer secret"}


URL = "/v1/loops/pets/outputs"


def output(key: object = "a/1", confidence: float = 0.6, **changes: Any) -> dict[str, Any]:
    shares = {"cat": confidence, "dog": 1 - confidence}
    return {"key": key, "data": {"text": "miaow"}, "probabilities": shares, "model_version": "7", **changes}


@dataclass(frozen=True)
class Answer:
    status_code: int
    json: Any
    headers: Mapping[str, str]


class Intake:
    """The intake of a loop `pets`, and the database behind it."""

    def __init__(self, database: Database, spec: LoopSpec = SPEC, **changes: Any) -> None:
        with database.transaction() as conn:
            loops.register(conn, spec)
        self.database = database
        self.web: FlaskClient = create_app(Settings(intake_token="secret", **changes), database).test_client()

    def ask(self, method: str, path: str, **how: Any) -> Answer:
        said = self.web.open(path, method=method, **{"headers": HEADERS, **how})
        return Answer(said.status_code, said.json, dict(said.headers))

    def post(self, *outputs: object) -> Answer:
        """One object for one output, NDJSON for several; bytes as they are."""
        if len(outputs) == 1:
            return self.ask("POST", URL, json=outputs[0])
        body = b"\n".join(o if isinstance(o, bytes) else json.dumps(o).encode() for o in outputs)
        return self.ask("POST", URL, data=body, content_type="application/x-ndjson")

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def sql(self, statement: str) -> list[dict[str, Any]]:
        with self.database.transaction() as conn:
            return conn.execute(statement).fetchall()

    def stored(self) -> int:
        return int(self.sql("select count(*) as n from outputs")[0]["n"])
