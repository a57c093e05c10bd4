"""A desk whose accepted outputs train versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backend.train.train import train
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.promises import certificates
from labelloop.store.tables import runs
from tests.support.hops.accepting_desk import YAML, AcceptingDesk

LEARNER = "  learner: {name: text, params: {characters: false}}\n"
TEACH = parse("pets", YAML.replace("confidence: 0.95}", "confidence: 0.95, teach: true}") + LEARNER)
WORDS = {"cat": ["purrs", "meows", "kitten"], "dog": ["barks", "fetches", "puppy"], "eel": ["swims", "slimy", "river"]}
SYLLABLES = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu ra re ri ro ru".split()


class TeachingDesk(AcceptingDesk):
    """A desk whose pipeline is right, with texts that tell their label, and a folder for models."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database, of=TEACH)
        self.folder = folder

    def post(self, *lines: Any, **headers: str) -> Any:
        return super().post(
            *({**one, "data": {"text": self._text(one["key"], one["label"])}} for one in lines), **headers
        )

    def _text(self, key: str, label: str) -> str:
        """Return a text that tells the label and is alike to no other text."""
        rng = np.random.default_rng(list(key.encode()))
        others = ["".join(rng.choice(SYLLABLES, 4)) for _ in range(8)]
        return " ".join([*others[:4], *rng.permutation(WORDS[label]), *others[4:]])

    def certified(self, wrong: range = range(0)) -> certificates.Certificate:
        self.send("a", 700)
        self.people_say(self.chosen(), wrong)
        made = self.certify()
        assert made is not None
        return made

    def run(self) -> dict[str, Any]:
        """Train on today's answers; return the outcome with the run's id."""
        with self.database.transaction() as conn:
            run_id = runs.request(conn, "pets", "a test")
            assert runs.claim(conn, "pets", None) is not None
        assert run_id is not None
        found = train(self.database, self.folder, run_id)
        with self.database.transaction() as conn:
            runs.finish(conn, run_id, "refused", version_id=found["version"])
        return {**found, "run": run_id}

    def beside(self, run_id: object) -> list[dict[str, Any]]:
        return self.sql(
            "select o.id, o.key, o.lane::text as lane, o.holdout, o.state::text as state, i.label, i.weight"
            f" from accepted_items i join outputs o on o.id = i.output_id where i.run_id = '{run_id}' order by o.key"
        )
