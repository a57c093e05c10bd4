"""A Postgres that is there and mute: who waits is told within seconds, and is served when it speaks again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask

from backend.service import create_app as backend_app
from labelloop.errors import Unreachable
from labelloop.store.database import SILENT_CONNECTION_S, Database
from labelloop.store.tables import loops
from sync.service import create_app as sync_app
from tests.support.backend_factory import settings_for, texts_spec
from tests.support.ml_backend import basic
from tests.support.network.tcp import Line

TOKEN = {"Authorization": "Bearer t"}


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    at = urlsplit(database_url)
    line = Line(str(at.hostname), at.port or 5432)
    yield line
    line.close()


@pytest.fixture
def beyond(database: Database, database_url: str, line: Line) -> Iterator[Database]:
    """The database at the other end of the line, with a connection that has been used."""
    with database.transaction() as conn:
        loops.register(conn, texts_spec())
    at = urlsplit(database_url)
    with Database(at._replace(netloc=f"{at.username}:{at.password}@127.0.0.1:{line.port}").geturl()) as beyond:
        beyond.ping()
        yield beyond


def test_requests_get_their_503_within_10_s_and_readyz_within_15(
    beyond: Database, database_url: str, line: Line, tmp_path: Path
) -> None:
    settings = replace(settings_for(database_url, tmp_path), intake_token="t")
    sync, backend = sync_app(settings, beyond), backend_app(settings, beyond)
    asked: list[tuple[Flask, str, dict[str, str], float]] = [
        (sync, "/v1/loops", TOKEN, 10),
        (sync, "/v1/loops/texts/outputs/a", TOKEN, 10),
        (sync, "/readyz", {}, 15),
        (backend, "/versions", basic(), 10),
        (backend, "/readyz", {}, 15),
    ]
    line.hush()
    with ThreadPoolExecutor(len(asked)) as threads:
        took = list(threads.map(lambda one: _seconds(*one[:3]), asked))
    for (status, seconds), (_, path, _, limit) in zip(took, asked, strict=True):
        assert (status, seconds < limit) == (503, True), (path, status, seconds)
    line.mend()
    assert _seconds(sync, "/v1/loops", TOKEN)[0] == 200
    assert _seconds(backend, "/versions", basic())[0] == 200


def test_a_transaction_that_falls_silent_in_the_middle_ends(beyond: Database, line: Line) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match="silent"), beyond.transaction() as conn:  # noqa: PT012
        conn.execute("select 1")
        line.hush()
        conn.execute("select 2")
    assert time.monotonic() - began < 10


def test_a_statement_that_is_only_slow_goes_on(beyond: Database) -> None:
    with beyond.transaction() as conn:
        row = conn.execute("select pg_sleep(%s), 3 as three", [SILENT_CONNECTION_S + 1.5]).fetchone()
    assert row is not None
    assert row["three"] == 3


def _seconds(app: Flask, path: str, headers: dict[str, str]) -> tuple[int, float]:
    began = time.monotonic()
    return app.test_client().get(path, headers=headers).status_code, time.monotonic() - began
