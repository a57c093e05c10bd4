"""Our ML backend, served on a free port of this process for the length of a `with`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from werkzeug.serving import make_server

from backend.service import create_app
from labelloop.settings import Settings
from labelloop.store.database import Database

PASSWORD = "p"


@contextmanager
def ml_backend(settings: Settings, database: Database, models_dir: Path) -> Iterator[str]:
    """Yields its URL; its password is PASSWORD."""
    app = create_app(replace(settings, backend_password=PASSWORD, models_dir=models_dir), database)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
