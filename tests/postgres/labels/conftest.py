"""A loop whose labels change."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.store.database import Database
from tests.support.workers.pets import Pets


@pytest.fixture
def pets(database: Database, tmp_path: Path) -> Pets:
    """A loop with answers of two people about each of nine outputs."""
    return Pets(database, tmp_path)
