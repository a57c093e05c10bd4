"""Pipelines that submit with the client, and a ledger of what the service has acknowledged."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from labelloop import Client
from labelloop.errors import Conflict, Retriable
from tests.support.chaos.links import pause
from tests.support.chaos.stage import LABELS

_TOPICS = {
    "billing": "invoice charged refund payment card euros account twice price receipt".split(),
    "delivery": "parcel courier late address door van lost tracking box arrived".split(),
    "other": "password login colour manual question hours language shop button page".split(),
}
_FILLERS = "please hello I my the was again today and you help with it is since monday thanks not".split()


def text(rng: random.Random, label: str) -> str:
    """Return a text about a topic; what it is about can be told from its words."""
    words = rng.sample(_TOPICS[label], 3) + rng.sample(_FILLERS, 6)
    rng.shuffle(words)
    return " ".join(words)


def truth(words: str) -> str:
    """Return the label that an attentive person gives."""
    return max(LABELS, key=lambda label: sum(word in _TOPICS[label] for word in words.split()))


@dataclass
class Pipeline:
    """One program with a model that is correct in 6 of 10 cases."""

    name: str
    url: str
    token: str
    loops: tuple[str, ...]
    rng: random.Random
    acknowledged: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """Submitted outputs for which a receipt came, by loop and key."""
    tried: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """All submitted outputs, by loop and key."""
    faults: list[str] = field(default_factory=list)
    """Replies that no service may give, such as a receipt for a known key with another body."""
    giving_up: int = 0
    """Number of requests after whose retries the client gave up; they are submitted again."""

    def run(self, over: threading.Event) -> None:
        """Submit until it is over, then what is left without a receipt."""
        with Client(self.url, self.token, timeout_s=10.0, attempts=3, rng=self.rng) as client:
            left: list[tuple[str, list[dict[str, Any]]]] = []
            while not over.is_set():
                loop = self.rng.choice(self.loops)
                left.append((loop, self._batch(loop)))
                left = [part for part in left if not self._submit(client, *part)]
                if self.rng.random() < 0.1:
                    self._send_again(client)
                pause(self.rng.uniform(0.5, 2.0), over)
            for _ in range(60):
                left = [part for part in left if not self._submit(client, *part)]
                if not left:
                    return
            self.faults.append(f"{self.name}: {len(left)} requests were not taken within 60 tries without any fault")

    def _batch(self, loop: str) -> list[dict[str, Any]]:
        made = []
        for _ in range(self.rng.choice((1, 1, 3, 12))):
            key = f"{self.name}/{len(self.tried)}"
            true = self.rng.choice(LABELS)
            said = true if self.rng.random() < 0.6 else self.rng.choice(LABELS)
            output = {"key": key, "data": {"text": text(self.rng, true)}, "label": said,
                      "confidence": round(self.rng.uniform(0.35, 1.0), 3), "model_version": "chaos-1"}  # fmt: skip
            self.tried[loop, key] = output
            made.append(output)
        return made

    def _submit(self, client: Client, loop: str, part: list[dict[str, Any]]) -> bool:
        try:
            receipt = client.submit(part, loop)
        except Retriable:
            self.giving_up += 1
            return False
        if receipt.new + receipt.known != len(part):
            self.faults.append(f"{self.name}: a receipt for {len(part)} outputs counts {receipt}")
        self.acknowledged |= {(loop, output["key"]): output for output in part}
        return True

    def _send_again(self, client: Client) -> None:
        """Submit a known output once more, and with another body, which must be refused."""
        if not self.acknowledged:
            return
        (loop, key), output = self.rng.choice(list(self.acknowledged.items()))
        other = output | {"data": {"text": "another text"}}
        cases: list[tuple[Callable[[], Any], bool]] = [
            (lambda: client.submit(output, loop).known == 1, True),
            (lambda: client.submit(other, loop), False),
        ]
        for submit, is_fine in cases:
            try:
                if submit() is not True or not is_fine:
                    self.faults.append(f"{self.name}: {key} was taken a second time as a new output")
            except Retriable:
                self.giving_up += 1
            except Conflict:
                if is_fine:
                    self.faults.append(f"{self.name}: {key} was refused with the body that it had before")
