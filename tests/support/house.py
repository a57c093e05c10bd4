"""A loop and all that it stands on, for the tests of the doctor: its services, and a project that is connected."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from werkzeug.serving import make_server

from backend.service import create_app as backend_app
from console.cli import main
from console.doctor import Finding, Level, examine
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from sync.service import create_app as sync_app
from tests.support.sync_loop import SyncLoop, sync_loop

App = Callable[..., Iterable[bytes]]
LOOP = "pets"
NOT_HERE = {"workers", "jobs", "connections", "record"}
"""No worker runs beside most tests, and the server's room is shared with whatever else is at work."""


class Service:
    """A WSGI application on a port of its own; it can go away, and come back, and be late."""

    def __init__(self, app: App, port: int = 0) -> None:
        self.late_s = 0.0
        self._app = app
        self._server: Any = None
        self.port = port
        self.come()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def come(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def go(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: Any, start: Any) -> Iterable[bytes]:
        time.sleep(self.late_s)
        return self._app(environ, start)


@dataclass
class House:
    loop: SyncLoop
    settings: Settings
    sync: Service
    backend: Service
    models: Path

    def examine(self, *, label_studio_database: str = "", **changes: Any) -> list[Finding]:
        settings = replace(self.settings, **changes)
        return examine(settings, self.loop.spec.name, label_studio_database=label_studio_database, again_s=0.1)

    def ill(self, **changes: Any) -> dict[str, Finding]:
        """By check: what is not well, but for what depends on others than this house."""
        found = self.examine(**changes)
        return {f.check: f for f in found if f.level in (Level.FAULT, Level.UNSEEN) and f.check not in NOT_HERE}

    def repair(self, finding: Finding) -> None:
        """Run the printed line."""
        words = shlex.split(finding.repair.partition("#")[0])
        assert words[0] == "labelloop", finding
        done = CliRunner().invoke(main, words[1:], env=self.settings.to_env() | {"USER": "a-test"})
        assert done.exit_code == 0, done.output

    # -- Label Studio's, over plain HTTP -------------------------------------------------------------------------------

    def patch(self, path: str, **fields: Any) -> None:
        self.loop.web.patch(path, json=fields).raise_for_status()

    def change(self, **fields: Any) -> None:
        self.patch(f"/api/projects/{self.loop.project_id}/", **fields)

    def hooks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.loop.web.get(
            "/api/webhooks/", params={"project": self.loop.project_id}
        ).json()
        return found

    def predictions(self) -> list[dict[str, Any]]:
        """Ours of the open tasks, the first to be served first."""
        open_ = [task for task in self.loop.tasks() if not task["is_labeled"]]
        found = [p for task in open_ for p in task["predictions"] if p["model_version"] == "pipeline"]
        return sorted(found, key=lambda prediction: float(prediction["score"]))


@contextmanager
def house(
    database: Database, url: str, token: str, models: Path, *, through: str | None = None, of: LoopSpec | None = None
) -> Iterator[House]:
    """`of`: another loop than that of pets."""
    with ExitStack() as stack:
        loop = stack.enter_context(sync_loop(database, url, token, through=through, of=of))
        secrets = replace(
            loop.settings,
            hook_secret="a-hook-secret",
            intake_token="an-intake-token",
            backend_password="a-password",
            record_heads=models / "heads.jsonl",
            models_dir=models,
            data_dir=models,
        )
        sync = Service(sync_app(secrets, database))
        stack.callback(sync.go)
        backend = Service(backend_app(secrets, database))
        stack.callback(backend.go)
        settings = replace(secrets, sync_url=sync.url, backend_url=backend.url)
        loop.settings = settings
        yield House(loop, settings, sync, backend, models)
