"""The ways in of a running sync service: its HTTP routes, and the commands that read a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from console.cli import main
from labelloop.store.database import Database
from tests.support.network.sync_service import TOKEN

HEAD = {"Authorization": f"Bearer {TOKEN}"}
SPEC = "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], audit: 0, holdout: 0}"
"""The loop.yaml of `pets`, for commands that read it."""


class Doors:
    """The ways in of the running service, and the keys that are stored."""

    def __init__(self, url: str, database: Database, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._database = database
        self._before = self._keys()
        self._env = {
            "LABELLOOP_SYNC_URL": url,
            "LABELLOOP_INTAKE_TOKEN": TOKEN,
            "LABELLOOP_DATA_DIR": str(folder),
            "LABELLOOP_LOOPS_DIR": str(folder),
        }

    def post(
        self, raw: bytes, media: str, path: str = "/v1/loops/pets/outputs", *, encoding: str = "identity"
    ) -> httpx.Response:
        headers = {**HEAD, "Content-Type": media, "Content-Encoding": encoding}
        return httpx.post(self.url + path, content=raw, headers=headers, timeout=60)

    def run(self, name: str, raw: bytes | None, *words: str) -> tuple[int, Any, str]:
        """Run a command on a file with these bytes (None if it is there already)."""
        file = self.folder / name
        if raw is not None:
            file.write_bytes(raw)
        ran = CliRunner().invoke(main, [words[0], str(file), *words[1:], "--json"], env=self._env)
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        return ran.exit_code, json.loads(ran.stdout) if ran.stdout else None, ran.stderr

    def new(self) -> list[str]:
        """Return the keys that are stored since the last question."""
        was, self._before = self._before, self._keys()
        return sorted(self._before - was)

    def _keys(self) -> set[str]:
        with self._database.transaction() as conn:
            return {row["key"] for row in conn.execute("select key from outputs").fetchall()}
