"""People who answer over Label Studio's API in the order that it serves, and a ledger of what it has acknowledged."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.chaos.links import pause
from tests.support.chaos.pipelines import truth
from tests.support.chaos.stage import LABELS

SKIP = "(skip)"
GONE = "(deleted)"


@dataclass
class Person:
    """One annotator. Label Studio itself is killed too: what it has not acknowledged may have happened or not."""

    email: str
    web: httpx.Client
    projects: list[int]
    rng: random.Random
    may_be: dict[int, set[str]] = field(default_factory=dict)
    """By annotation: the answers of which Label Studio must have one; more than one after a reply that was lost."""
    acts: dict[str, int] = field(default_factory=dict)

    def run(self, over: threading.Event) -> None:
        while not over.is_set():
            act = self.rng.choices((self.answer, self._edit, self._delete), (84, 11, 5))[0]
            try:
                act()
            except (httpx.HTTPError, ValueError):  # away, or a reply that was cut
                pause(1.0, over)
            pause(self.rng.uniform(0.1, 0.6), over)

    def answer(self) -> None:
        project = self.rng.choice(self.projects)
        served = self.web.post(f"/api/dm/actions/?id=next_task&project={project}", json={"project": project})
        if served.status_code == 404:
            return
        task = served.raise_for_status().json()
        draw = self.rng.random()
        label = truth(task["data"]["text"]) if draw < 0.9 else self.rng.choice(LABELS)
        if draw > 0.95:
            label = SKIP
        shown = task["predictions"][0]["id"] if task.get("predictions") else None
        body = {"result": region(label), "was_cancelled": label == SKIP, "lead_time": self.rng.uniform(1, 9)}
        path = f"/api/tasks/{task['id']}/annotations/?project={project}"
        made = self.web.post(path, json=body | {"parent_prediction": shown, "project": str(project)})
        self.may_be[int(made.raise_for_status().json()["id"])] = {label}
        self._count("skip" if label == SKIP else "answer")

    def _edit(self) -> None:
        one, label = self._of_mine(), self.rng.choice(LABELS)
        if one is None or SKIP in self.may_be[one]:
            return
        self.may_be[one] |= {label}
        edited = self.web.patch(f"/api/annotations/{one}/", json={"result": region(label)})
        if edited.raise_for_status().json()["result"] == region(label):
            self.may_be[one] = {label}
            self._count("edit")

    def _delete(self) -> None:
        one = self._of_mine()
        if one is None:
            return
        self.may_be[one] |= {GONE}
        self.web.delete(f"/api/annotations/{one}/").raise_for_status()
        self.may_be[one] = {GONE}
        self._count("delete")

    def _of_mine(self) -> int | None:
        mine = [one for one, labels in self.may_be.items() if GONE not in labels]
        return self.rng.choice(mine) if mine else None

    def _count(self, act: str) -> None:
        self.acts[act] = self.acts.get(act, 0) + 1


def region(label: str) -> list[dict[str, Any]]:
    if label == SKIP:
        return []
    value = {"choices": [label]}
    return [{"id": "r1", "from_name": "label", "to_name": "text", "type": "choices", "value": value}]
