"""Adopt: a project of annotated tasks becomes a loop with its answers, against Label Studio's bare export of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from click.testing import CliRunner

from benchmarks.support.goals import ADOPT, Measured
from benchmarks.support.rooms import House, Servers, house, quiet
from benchmarks.support.turns import in_turn
from console.cli import main
from labelloop.errors import Failed
from labelloop.process.settings import Settings

LABELS = ("cat", "dog", "eel")
CHOICES = "".join(f'<Choice value="{label}"/>' for label in LABELS)
FORM = f'<View><Text name="text" value="$text"/><Choices name="label" toName="text">{CHOICES}</Choices></View>'
AT_ONCE = 1_000
"""Tasks in one import that makes the project."""
TEXT = "the parcel was late and the invoice wrong, please help " * 6


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (600, 1) if quick else (10_000, 3)
    with house(servers) as connected, servers.http() as web:
        our, project = quiet(connected), _project(web, n)
        try:
            ours, bare = in_turn(repeats, lambda: _ours(our, web, project, n), lambda: _bare(web, project, n))
        finally:
            servers.remove_project(web, project)
    beyond = [mine - theirs for mine, theirs in zip(ours, bare, strict=True)]
    facts = (
        f"{n} tasks with a prediction and an annotation each: {median(ours):.1f} s with the first ranking, bare export "
        f"{median(bare):.1f} s"
    )
    return [Measured(ADOPT, beyond, facts)]


def _project(web: httpx.Client, n: int) -> int:
    """Make a project as people and their models leave it."""
    made = web.post("/api/projects/", json={"title": "adopted", "label_config": FORM}).raise_for_status().json()
    for start in range(0, n, AT_ONCE):
        tasks = [_task(i) for i in range(start, min(start + AT_ONCE, n))]
        web.post(f"/api/projects/{made['id']}/import", json=tasks, timeout=600).raise_for_status()
    return int(made["id"])


def _task(i: int) -> dict[str, Any]:
    guess, said = LABELS[i % 3], LABELS[(i if i % 4 else i + 1) % 3]
    return {
        "data": {"text": f"{i} {TEXT}"},
        "predictions": [{"model_version": "theirs", "score": (i % 100) / 100, "result": _regions(guess)}],
        "annotations": [{"result": _regions(said), "ground_truth": False, "lead_time": 2.0}],
    }


def _regions(label: str) -> list[Mapping[str, Any]]:
    return [{"id": "r", "from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


def _ours(our: House, web: httpx.Client, project: int, n: int) -> float:
    """Seconds of `labelloop adopt`; then the project is released and the loop removed."""
    with TemporaryDirectory(prefix="labelloop-bench-") as folder:
        settings = replace(our.settings, loops_dir=Path(folder))
        began = time.perf_counter()
        _run(settings, "adopt", "--project", str(project), "--loop", "adopted")
        seconds = time.perf_counter() - began
        with our.database.transaction() as conn:
            row = conn.execute("select count(*) as n from answers where label is not null").fetchone()
        if row is None or row["n"] != n:
            raise Failed(f"{row} of {n} answers are stored")
        _run(settings, "release", "--by", "benchmark")
        _run(settings, "loop", "remove", "adopted", "--yes", "adopted")
        with our.database.transaction() as conn:
            conn.execute("delete from loops")
    return seconds


def _run(settings: Settings, *arguments: str) -> None:
    done = CliRunner().invoke(main, arguments, env=settings.to_env())
    if done.exit_code:
        raise Failed(f"{' '.join(arguments)}: {done.output}")


def _bare(web: httpx.Client, project: int, n: int) -> float:
    """Seconds of Label Studio's own export of the project, parsed as JSON and dropped."""
    began = time.perf_counter()
    params = {"exportType": "JSON", "download_all_tasks": "true"}
    found = web.get(f"/api/projects/{project}/export", params=params, timeout=600).raise_for_status().json()
    seconds = time.perf_counter() - began
    if sum(len(task["annotations"]) for task in found) != n:
        raise Failed(f"{len(found)} of {n} tasks were exported")
    return seconds
