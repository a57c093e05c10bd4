"""Refused versions of the current answers, and the command line that reports on them."""

from __future__ import annotations

from uuid import UUID

from click.testing import CliRunner, Result

from backend.train.train import train
from console.cli import main
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import runs, versions
from tests.support.backend_factory import CONFIGS


def cli(settings: Settings, *words: str) -> Result:
    env = settings.to_env() | {"LABELLOOP_LOOPS_DIR": str(CONFIGS)}
    return CliRunner().invoke(main, list(words), env=env)


def version_of(database: Database, settings: Settings, loop: str, seed: int = 0) -> tuple[str, UUID]:
    """A refused version of today's answers, without a child process; and its run."""
    with database.transaction() as conn:
        run_id = runs.request(conn, loop, "a test", seed=seed)
        assert run_id is not None
        assert runs.claim(conn, loop, None) is not None
    version: str = train(database, settings.models_dir, run_id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=version)
        versions.refuse(conn, version)
    return version, run_id
