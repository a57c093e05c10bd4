"""Our own services, asked as pipelines and Label Studio ask them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from console.doctor.findings import Finding, fault, good, hint
from console.local.services import BACKEND, SYNC, gunicorn

LATE_S = 0.5
"""Later than this the annotator feels it: the click waits for the webhook."""
TOO_LATE_S = 1.0
"""After this Label Studio hangs up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a service of ours. `status` 0: none."""

    status: int
    said: str = ""
    """Its error, in its words; of no answer, what happened."""
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
        why="outputs cannot be submitted, and Label Studio's doorbell rings at the same service",
        repair=start(url, "sync"),
    )


def doorbell(answer: Answer, url: str, loop: str) -> Finding:
    """The answer to a ring for project 0, which is nobody's: our service looks it up, says 404, and does nothing."""
    if answer.status == 401:
        return fault(
            "doorbell",
            f"{url} refuses our secret",
            why="every ring of Label Studio is refused, so answers are found only by looking, every few seconds",
            repair="give the service and the workers one LABELLOOP_HOOK_SECRET, and restart them",
            loop=loop,
        )
    if answer.status != 404 or "not the project of this loop" not in answer.said:
        return fault(
            "doorbell",
            f"no doorbell of ours answers at {url} ({_words(answer)})",
            why="Label Studio rings inside the annotator's click, up to a second; answers are found only by looking",
            repair=start(url, SYNC),
            loop=loop,
        )
    if answer.took_s > TOO_LATE_S:
        return fault(
            "doorbell",
            f"{url} answers after {answer.took_s:.1f} s",
            why="people wait for it with every click, and Label Studio hangs up after 1 s",
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
            why="Label Studio is given the same one, and gets no prelabels",
            repair="give backend and sync one LABELLOOP_BACKEND_PASSWORD, and restart them",
        )
    if answer.status != 200:
        return fault(
            "backend",
            f"no backend answers at {url} ({_words(answer)})",
            why="whoever opens a task waits three seconds for it, and Start training does nothing",
            repair=start(url, BACKEND),
        )
    if troubles:
        return fault(
            "backend",
            f"it cannot serve: {'; '.join(troubles)}",
            why="it goes on with what it had before, or with nothing",
            repair="labelloop rollback --why 'its file cannot be read'",
        )
    return good("backend", f"answers at {url}")


def start(url: str, service: str) -> str:
    """The line that starts a service of ours where it is looked for."""
    return f"python -m {shlex.join(gunicorn(service, _host(url)))}  # or `labelloop up`"


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _words(answer: Answer) -> str:
    said = f": {answer.said}" if answer.said else ""
    return f"it answers {answer.status}{said}" if answer.status else answer.said
