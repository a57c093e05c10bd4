"""The window of a loop that learns from sentence vectors compares texts by them, and waits for none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.selection.sentences import text_hash
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.sentences import vectors
from labelloop.store.sentences.vectors import Used
from labelloop.store.tables import jobs, loops, outputs
from sync.intake.taking import take
from sync.push.sentences import beginnings
from sync.push.window import prepare
from tests.support.hops.retraining import asked

YAML = (
    "feedback_loop: {trigger: model_confidence < 0.9, labels: [cat, dog], holdout: 0, audit: 0, "
    "queue: {window: 2, diversity: 1}, learner: {name: sentences}}"
)
ALIKE: dict[str, tuple[float, float]] = {
    "my card is lost": (1, 0.1),
    "somebody took my visa": (1, 0.15),
    "wo ist meine Karte": (1, 0.2),
}
OTHER: dict[str, tuple[float, float]] = {"play some jazz": (0.1, 1)}
"""Texts without a common letter run, and vectors that say which of them mean the same."""


@pytest.fixture
def spec(database: Database) -> LoopSpec:
    """Four waiting outputs, the most useful first: three that mean the same, and another."""
    made = parse("pets", YAML)
    waiting = [
        Output(text, {"text": text}, probabilities={"cat": 0.5 + i / 50, "dog": 0.5 - i / 50})
        for i, text in enumerate([*ALIKE, *OTHER])
    ]
    with database.transaction() as conn:
        loops.register(conn, made)
        outputs.insert(conn, "pets", [outputs.Row.of(one, lanes.place(one, made)) for one in waiting])
    return made


def kept(database: Database, given: Mapping[str, tuple[float, float]], name: str = "") -> None:
    packed = {text_hash(text): np.array(vector, dtype="<f2").tobytes() for text, vector in given.items()}
    with database.transaction() as conn:
        vectors.use(conn, "pets", Used(name, "use:1", 2))
        vectors.keep(conn, "pets", "use:1", packed)


def picked(database: Database, spec: LoopSpec) -> set[str]:
    window, picks = prepare(database, spec)
    key_of = {item.output_id: item.key for item in window.queues["rule"]}
    return {key_of[pick.output_id] for pick in picks}


def test_a_number_is_compared_by_the_vector_of_its_text() -> None:
    items, hashes = beginnings([{"text": 4.0}, {"text": "4"}, {"text": None}, {"text": ["4"]}], "text")
    assert [item["text"] for item in items] == ["4", "4", None, None]
    assert hashes == [text_hash("4"), text_hash("4"), None, None]


def test_texts_that_mean_the_same_are_not_asked_together(database: Database, spec: LoopSpec) -> None:
    kept(database, ALIKE | OTHER)
    found = picked(database, spec)
    assert "play some jazz" in found
    assert len(found) == 2


@pytest.mark.parametrize("missing", ["no vectors", "too few", "another encoder"])
def test_without_the_vectors_letters_compare_and_the_window_is_filled(
    database: Database, spec: LoopSpec, missing: str
) -> None:
    by_letters = picked(database, spec)
    assert len(by_letters) == 2
    if missing == "too few":
        kept(database, dict(list(ALIKE.items())[1:]))
    elif missing == "another encoder":
        kept(database, ALIKE | OTHER, "/another/model.onnx")
    assert picked(database, spec) == by_letters


def test_vectors_of_another_width_under_the_same_encoder_say_nothing(database: Database, spec: LoopSpec) -> None:
    by_letters = picked(database, spec)
    kept(database, ALIKE | OTHER)
    with database.transaction() as conn:
        conn.execute("update sentence_vectors set vector = vector || vector")
    assert picked(database, spec) == by_letters


def test_a_few_without_a_vector_wait_in_no_way_for_it(
    database: Database, spec: LoopSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text without a known token has zeros, which are compared with nothing, and one vector is missing."""
    monkeypatch.setattr("sync.push.sentences.ENOUGH", 0.7)
    kept(database, {**dict(list(ALIKE.items())[:2]), "play some jazz": (0, 0)})
    assert len(picked(database, spec)) == 2


def test_copies_come_last_whatever_their_vectors_say(database: Database, spec: LoopSpec) -> None:
    copies = [f"my card is lost, number {i}, please help me to find it again" for i in range(3)]
    made = [Output(text, {"text": text}, probabilities={"cat": 0.5, "dog": 0.5}) for text in copies]
    with database.transaction() as conn:
        conn.execute("delete from pool")
        outputs.insert(conn, "pets", [outputs.Row.of(one, lanes.place(one, spec)) for one in made])
        outputs.insert(
            conn,
            "pets",
            [outputs.Row.of(replace(made[0], key="o", data={"text": "a bee"}), lanes.place(made[0], spec))],
        )
    far = [(1, 0), (0, 1), (-1, 0)]
    kept(database, {**dict(zip(copies, far, strict=True)), "a bee": (1, 0.1)})
    assert "o" in picked(database, spec)


def test_the_intake_asks_for_vectors_of_new_outputs(database: Database, spec: LoopSpec) -> None:
    line = b'{"key": "new", "data": {"text": "a fish"}, "probabilities": {"cat": 0.5, "dog": 0.5}}'
    with database.transaction() as conn:
        take(conn, spec, [(1, line)])
    assert asked(database, jobs.EMBED) == 1
