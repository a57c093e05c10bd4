"""Readiness of the sync service, with the real Label Studio behind a line that can be cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from labelloop.store.database import Database
from tests.support.intake_client import Intake
from tests.support.network.tcp import Line


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database)


@pytest.fixture
def line(database_url: str) -> Iterator[tuple[Line, Database]]:
    """A line to Postgres that can be cut, and a Database at the other end of it."""
    parts = urlsplit(database_url)
    assert parts.hostname
    line = Line(parts.hostname, parts.port or 5432)
    user = parts.netloc.rpartition("@")[0]
    url = parts._replace(netloc=f"{user}@127.0.0.1:{line.port}").geturl()
    with Database(url, wait_s=2.0) as database:
        yield line, database
    line.close()


def test_ready_says_which_of_the_two_does_not_answer(
    line: tuple[Line, Database], label_studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.service.PROBE_S", 60.0)  # a Label Studio that other tests keep busy may take its time
    wire, database = line
    intake = Intake(database, label_studio_url=label_studio.url)
    assert (intake.get("/readyz").status_code, intake.get("/readyz").json["label_studio"]) == (200, "ok")
    wire.cut()
    ready = intake.get("/readyz")
    assert (ready.status_code, ready.json["postgres"], ready.json["label_studio"]) == (503, "does not answer", "ok")
    wire.mend()
    lonely = Intake(database, label_studio_url="http://127.0.0.1:9").get("/readyz")
    assert (lonely.status_code, lonely.json["postgres"]) == (503, "ok")
    assert "does not answer" in lonely.json["label_studio"]
