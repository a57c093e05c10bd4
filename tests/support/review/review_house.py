"""The review pages in this process, with people who may look and people who may decide."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend.service import create_app
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import versions

SECRET = "a-secret-of-tests"


XSS = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


@dataclass
class House:
    database: Database
    settings: Settings
    tokens: dict[str, str]

    def client(self, **changes: object) -> FlaskClient:
        return create_app(replace(self.settings, **changes), self.database).test_client()  # type: ignore[arg-type]

    def logged_in(self, name: str = "mira") -> FlaskClient:
        client = self.client()
        assert log_in(client, self.tokens[name]).status_code == 303
        return client

    def bearer(self, name: str = "mira") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[name]}"}


def csrf(page: TestResponse) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def log_in(client: FlaskClient, token: str, onward: str = "") -> TestResponse:
    form = {"csrf": csrf(client.get("/review/login")), "token": token, "next": onward}
    return client.post("/review/login", data=form)


def decide(client: FlaskClient, path: str, **form: str) -> TestResponse:
    page = client.get(path)
    epoch = re.search(r'name="epoch" value="(\d+)"', page.text)
    assert epoch is not None, page.text
    return client.post(path, data={"csrf": csrf(page), "epoch": epoch[1], "why": "by hand", **form})


def champion(database: Database) -> str | None:
    with database.transaction() as conn:
        row = versions.champion(conn, "digits")
    return None if row is None else str(row.id)
