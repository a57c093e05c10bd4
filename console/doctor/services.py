"""Our own services, asked as pipelines and Label Studio ask them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from console.doctor.findings import Finding, fault, good, hint
from console.local.services import BACKEND, SYNC, gunicorn
from labelloop.process.rooms import command_line

LATE_S = 0.5
"""Latency of the doorbell that annotators notice: each click waits for the webhook."""
TOO_LATE_S = 1.0
"""Latency after which Label Studio closes the connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one of our services. `status` is 0 if there was none."""

    status: int
    said: str = ""
    """The error in the answer; without an answer, the error of the request."""
    took_s: float = 0.0


def intake(answer: Answer, url: str) -> Finding:
    if answer.status == 200:
        return good("intake", f"answers at {url}")
    if answer.status == 401:
        return fault(
            "intake",
            "the intake refuses our token",
            why="pipelines that use the same settings cannot submit",
            repair="give the service and its pipelines one LABELLOOP_INTAKE_TOKEN, and restart the service",
        )
    return fault(
        "intake",
        f"no intake answers at {url} ({_words(answer)})",
        why="outputs cannot be submitted, and Label Studio's webhook calls the same service",
        repair=start(url, "sync"),
    )


def doorbell(answer: Answer, url: str, loop: str) -> Finding:
    """Check the answer to a webhook call for project 0, which does not exist: ours is a 404 without any effect."""
    if answer.status == 401:
        return fault(
            "doorbell",
            f"{url} refuses our secret",
            why="every webhook call is refused, so answers are found by polling only, every few seconds",
            repair="give the service and the workers one LABELLOOP_HOOK_SECRET, and restart them",
            loop=loop,
        )
    if answer.status != 404 or "not the project of this loop" not in answer.said:
        return fault(
            "doorbell",
            f"no doorbell of ours answers at {url} ({_words(answer)})",
            why="each click of an annotator waits for this call, up to 1 s; answers are found by polling only",
            repair=start(url, SYNC),
            loop=loop,
        )
    if answer.took_s > TOO_LATE_S:
        return fault(
            "doorbell",
            f"{url} answers after {answer.took_s:.1f} s",
            why="annotators wait for it with every click, and Label Studio gives up after 1 s",
            repair=f"{start(url, SYNC)}  # nearer to Label Studio",
            loop=loop,
        )
    if answer.took_s > LATE_S:
        return hint(
            "doorbell", f"answers after {answer.took_s:.1f} s: the machine is busy, and each click waits for it", loop
        )
    return good("doorbell", f"answers within {answer.took_s * 1000:.0f} ms", loop)


def backend(answer: Answer, troubles: Sequence[str], url: str) -> Finding:
    if answer.status == 401:
        return fault(
            "backend",
            "the backend refuses our password",
            why="Label Studio uses the same password, so it gets no prelabels",
            repair="give backend and sync one LABELLOOP_BACKEND_PASSWORD, and restart them",
        )
    if answer.status != 200:
        return fault(
            "backend",
            f"no backend answers at {url} ({_words(answer)})",
            why="an annotator who opens a task waits 3 s for it, and Start training does nothing",
            repair=start(url, BACKEND),
        )
    if troubles:
        return fault(
            "backend",
            f"it cannot serve the champion: {'; '.join(troubles)}",
            why="it serves the previous version, or none",
            repair="labelloop rollback --why 'its file cannot be read'",
        )
    return good("backend", f"answers at {url}")


def start(url: str, service: str) -> str:
    """Return the line that starts this service at `url`."""
    return f"{command_line(shlex.join(gunicorn(service, _host(url))))}  # or `labelloop up`"


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _words(answer: Answer) -> str:
    error = f": {answer.said}" if answer.said else ""
    return f"it answers {answer.status}{error}" if answer.status else answer.said
