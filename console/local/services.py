"""The command that starts each of our services; docker-compose.yml starts the same."""

from __future__ import annotations

SYNC, BACKEND = "sync", "backend"
WORKER_CLASS = "labelloop.process.serving.Worker"
_EACH = {
    # Of sync one process answers the doorbell while another one parses outputs; what is loaded before they part
    # (--preload) is in memory once. The backend has each model in memory once.
    SYNC: ["sync.service:from_env()", "--workers=2", "--threads=4", "--preload"],
    BACKEND: ["backend.service:from_env()", "--workers=1", "--threads=16"],
}


def gunicorn(service: str, bind: str) -> list[str]:
    """The words after `python -m`; `bind` is host:port."""
    return [
        "gunicorn", *_EACH[service], f"--bind={bind}", f"--worker-class={WORKER_CLASS}", "--timeout=60",
        "--graceful-timeout=5", "--no-control-socket",
    ]  # fmt: skip
