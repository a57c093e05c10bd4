"""The command that starts each service; docker-compose.yml uses the same."""

from __future__ import annotations

SYNC, BACKEND = "sync", "backend"
WORKER_CLASS = "labelloop.process.serving.Worker"
_EACH = {
    # sync has two processes, so that one answers the doorbell while the other parses outputs; with --preload they share
    # the memory of loaded modules. The backend is one process, so that each model is in memory once.
    SYNC: ["sync.service:from_env()", "--workers=2", "--threads=4", "--preload"],
    BACKEND: ["backend.service:from_env()", "--workers=1", "--threads=16"],
}


def gunicorn(service: str, bind: str) -> list[str]:
    """Return the arguments after `python -m`; `bind` is host:port."""
    return [
        "gunicorn", *_EACH[service], f"--bind={bind}", f"--worker-class={WORKER_CLASS}", "--timeout=60",
        "--graceful-timeout=5", "--no-control-socket",
    ]  # fmt: skip
