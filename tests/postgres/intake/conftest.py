"""One sync service in processes of its own for the tests of malformed input, with the loops `pets` and `judged`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.tables import loops
from tests.support.data.payloads import JUDGED
from tests.support.network.doors import Doors
from tests.support.network.sync_service import PETS, running
from tests.support.servers import a_database


@pytest.fixture(scope="package")
def served(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    with a_database(postgres_url, f"labelloop_malformed_{uuid.uuid4().hex[:12]}") as url:
        migrate(url)
        with Database(url) as database, running(url, tmp_path_factory.mktemp("service")) as address:
            with database.transaction() as conn:
                loops.register(conn, PETS)
                loops.register(conn, parse("judged", "feedback_loop: {trigger: model_confidence < 0.8}", JUDGED))
            yield address, database


@pytest.fixture
def doors(served: tuple[str, Database], tmp_path: Path) -> Doors:
    return Doors(*served, tmp_path)
