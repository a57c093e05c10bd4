"""Answers that are given to Label Studio as raw results, and what the store made of them."""

from __future__ import annotations

from typing import Any

import httpx

from labelloop.reading.ids import AnnotationId
from tests.support.sync_loop import SyncLoop

Result = list[dict[str, Any]]


def give(loop: SyncLoop, key: str, result: Result, web: httpx.Client | None = None) -> AnnotationId:
    body = {"result": result, "lead_time": 1.5}
    url = f"/api/tasks/{loop.task_of(key)['id']}/annotations/?project={loop.project_id}"
    return AnnotationId((web or loop.web).post(url, json=body).raise_for_status().json()["id"])


def change(loop: SyncLoop, annotation_id: AnnotationId, result: Result, web: httpx.Client | None = None) -> None:
    (web or loop.web).patch(f"/api/annotations/{annotation_id}/", json={"result": result}).raise_for_status()


def reasons(loop: SyncLoop) -> list[str]:
    return [row["reason"] for row in loop.sql("select reason from unreadable where until is null order by id")]


def answers(loop: SyncLoop) -> list[tuple[str | None, int]]:
    rows = loop.sql("select label, reviewers from answers order by seq")
    return [(row["label"], row["reviewers"]) for row in rows]


CHOICES = '<Choice value="cat"/><Choice value="dog"/>'
