"""Simulated annotators: each is a Label Studio user that answers Label Studio's next-task stream over HTTP."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from labelloop.errors import Failed
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.results import encode
from labelloop.queue.tasks import KEY, LABEL, OUTPUT
from labelloop.reading.ids import ProjectId

WAIT_FOR_TASK_S = 150.0
"""Seconds for which a simulated annotator retries while Label Studio is down or has no task."""


@dataclass
class Person:
    """One user with a session. `skill` is the probability of the true label; else a random other one."""

    email: str
    session: httpx.Client
    project_id: ProjectId
    config: LabelingConfig
    truth: Mapping[str, str]
    skill: float
    rng: random.Random

    def answer_next(self) -> bool:
        """Take the next task of the stream and submit an answer. False if there is none, or if it was deleted."""
        stream = f"/api/dm/actions/?id=next_task&project={self.project_id}"
        task = self._request("POST", stream, {"project": self.project_id})
        if task is None:
            return False
        data = task["data"]
        label = self._opinion(self.truth[data[KEY]])
        prediction = task["predictions"][0] if task.get("predictions") else None
        shown = [(r["from_name"], r["value"]) for r in prediction["result"]] if prediction else []
        result = encode(self.config, label, data.get(LABEL) or None)
        for region in result:
            region["origin"] = "prediction" if (region["from_name"], region["value"]) in shown else "manual"
        body = {
            "result": result,
            "lead_time": round(self.rng.lognormvariate(1.0, 0.4), 2),
            "parent_prediction": prediction and prediction["id"],
            # Makes a retry safe: a person's answer to a task is stored once, even if the first reply was lost.
            "unique_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.email}/{task['id']}/{data[OUTPUT]}")),
            "project": str(self.project_id),
        }
        saved = self._request("POST", f"/api/tasks/{task['id']}/annotations/?project={self.project_id}", body)
        return saved is not None

    def _opinion(self, truth: str) -> str:
        if self.rng.random() < self.skill:
            return truth
        return self.rng.choice([label for label in self.config.labels if label != truth])

    def _request(self, method: str, path: str, body: object) -> Any:
        """Return the answer; None for 404 (no task), {} for 409 (already sent). Retries while the server is down."""
        deadline = time.monotonic() + WAIT_FOR_TASK_S
        while True:
            try:
                answer = self.session.request(method, path, json=body)
                if answer.status_code in (404, 409):
                    return None if answer.status_code == 404 else {}
                if answer.status_code < 500:
                    return answer.raise_for_status().json()
                error = f"status {answer.status_code}"
            except httpx.HTTPStatusError as exc:
                raise Failed(f"Label Studio refuses {path}: {exc.response.text[:300]}") from exc
            except httpx.TransportError as exc:
                error = str(exc)
            if time.monotonic() > deadline:
                raise Failed(f"Label Studio did not answer within {WAIT_FOR_TASK_S:g} s: {error}")
            time.sleep(1.0)


@dataclass
class Crew:
    """Simulated annotators that work at the same time."""

    people: list[Person]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, answers: int, progress: Callable[[int], None]) -> int:
        """Submit `answers` answers in parallel. Returns how many were submitted: fewer if the tasks run out."""
        left, done = answers, 0
        failures: list[BaseException] = []

        def one(person: Person) -> None:
            nonlocal left, done
            while True:
                with self._lock:
                    if left == 0 or failures:
                        return
                    left -= 1
                try:
                    if not self._retrying(person):
                        return
                except BaseException as exc:  # raised again in the caller's thread
                    failures.append(exc)
                    return
                with self._lock:
                    done += 1
                    progress(done)

        threads = [threading.Thread(target=one, args=(person,), daemon=True) for person in self.people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return done

    def _retrying(self, person: Person) -> bool:
        deadline = time.monotonic() + WAIT_FOR_TASK_S
        while not person.answer_next():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def close(self) -> None:
        for person in self.people:
            person.session.close()
