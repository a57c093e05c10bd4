"""A database with a judged loop, made once a session and copied for each test that asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from psycopg.conninfo import conninfo_to_dict

from labelloop.store.database import Database
from tests.support.review.review_factory import judged_loop
from tests.support.servers import a_database


@dataclass(frozen=True, slots=True)
class JudgedLoop:
    """The loop `digits`, whose second run waits for a person's decision."""

    url: str
    models_dir: Path
    run: UUID


@pytest.fixture(autouse=True)
def _training_takes_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere training gives way to everything; here it is what is waited for, on a machine that may be busy."""
    monkeypatch.setattr("labelloop.process.priority.NICENESS", 0)


@pytest.fixture(scope="session")
def _judged(postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedLoop]:
    models_dir = tmp_path_factory.mktemp("judged") / "models"
    with a_copy(postgres_url, _template) as url:
        with Database(url) as database:
            _, run = judged_loop(database, models_dir)
        yield JudgedLoop(url, models_dir, run)


@pytest.fixture
def judged_loop_copy(postgres_url: str, _judged: JudgedLoop) -> Iterator[JudgedLoop]:
    with a_copy(postgres_url, _judged.url) as url:
        yield JudgedLoop(url, _judged.models_dir, _judged.run)


def a_copy(admin_url: str, template_url: str) -> AbstractContextManager[str]:
    """A database like the template, for the length of a `with`."""
    template = str(conninfo_to_dict(template_url)["dbname"])
    return a_database(admin_url, f"labelloop_test_{uuid.uuid4().hex[:12]}", template)
