"""The processes that write to MLflow: each is a child of the worker, so that a slow or broken MLflow blocks nothing
else.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable

from backend.train.child import kill
from labelloop.errors import LabelloopError
from labelloop.process import log, rooms
from labelloop.process.settings import Settings
from labelloop.store.database import Database

TIME_LIMIT_S = 600.0
MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold a password
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the next export tries again
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""MLflow's own settings, unless the environment sets them."""
logger = logging.getLogger(__name__)


def run(module: str, settings: Settings, loop: str, stop: threading.Event) -> bool:
    """Run the module for the loop in a child process, and return whether everything was written. `stop` ends the
    child.
    """
    child = subprocess.Popen(
        rooms.python(module, loop),
        env={**rooms.environment(os.environ), **settings.to_env()},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    began = time.monotonic()
    try:
        while child.poll() is None and time.monotonic() - began < TIME_LIMIT_S:
            if stop.wait(0.2):
                return False
        return child.returncode == 0
    finally:
        kill(child)


def main(write: Callable[[Settings, Database, str], object], loop: str) -> int:
    """Call `write` with the environment's settings, as the child process; return its exit status."""
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    os.nice(10)
    for name, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        settings.require("database_url", "mlflow_tracking_uri")
        with Database(settings.database_url, size=1, actor="backend worker") as database:
            write(settings, database, loop)
    except ModuleNotFoundError as exc:
        logger.error("nothing is written to MLflow: %s; pip install 'labelloop[mlflow]'", exc)
        return 1
    except LabelloopError as exc:
        logger.warning("not written to MLflow, the next export tries again: %s", exc)
        return 1
    except Exception as exc:
        logger.warning("loop %s: not written to MLflow, the next export tries again: %s", loop, words(exc))
        return 1
    return 0


def words(exc: Exception) -> str:
    """Return the error in at most 500 characters, without the password that an address may hold."""
    return re.sub(r"//[^/@\s]*@", "//", f"{type(exc).__name__}: {exc}")[:500]
