"""A record with history, made once a session and copied for each test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.store.database import Database
from tests.support.hops.recorded import Recorded, make_history
from tests.support.judged_loop import JudgedLoop, a_copy


@pytest.fixture(scope="session")
def _history(postgres_url: str, _judged: JudgedLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    path = tmp_path_factory.mktemp("record") / "heads.jsonl"
    with a_copy(postgres_url, _judged.url) as url:
        with Database(url) as database:
            made = Recorded(database, path)
            made.seal()
            make_history(database)
            made.seal()
        yield made


@pytest.fixture
def recorded(postgres_url: str, _history: Recorded, tmp_path: Path) -> Iterator[Recorded]:
    """A loop `digits` with runs and versions, and a loop `pets` with answers; all is sealed."""
    path = tmp_path / "heads.jsonl"
    path.write_bytes(_history.path.read_bytes())
    with a_copy(postgres_url, _history.database.url) as url, Database(url) as database:
        yield Recorded(database, path)
