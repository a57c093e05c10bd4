"""One sync service in processes of its own for all tests of this folder, with the loop `pets`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.tables import loops
from tests.support.network.sync_service import PETS, running
from tests.support.servers import a_database


@pytest.fixture(scope="package")
def served(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    with a_database(postgres_url, f"labelloop_answering_{uuid.uuid4().hex[:12]}") as url:
        migrate(url)
        with Database(url) as database, running(url, tmp_path_factory.mktemp("service")) as address:
            with database.transaction() as conn:
                loops.register(conn, PETS)
            yield address, database


@pytest.fixture
def service(served: tuple[str, Database]) -> str:
    return served[0]


@pytest.fixture
def pets(served: tuple[str, Database]) -> Database:
    """The service's database; each test uses keys of its own."""
    return served[1]
