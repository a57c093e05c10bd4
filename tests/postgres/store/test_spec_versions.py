"""Versions of a loop's spec: each content once, and each output knows the one that chose its lane."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import YOUNGER_KEYS
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs
from sync.intake.taking import take


def pets(below: float) -> LoopSpec:
    return parse("pets", f"feedback_loop: {{trigger: model_confidence < {below}, labels: [cat, dog], holdout: 0}}")


def numbers(database: Database) -> list[int]:
    with database.transaction() as conn:
        return [version.number for version in loops.spec_versions(conn, "pets")]


def submit(database: Database, spec: LoopSpec, key: str) -> int | None:
    said = {"key": key, "data": {"text": "x"}, "probabilities": {"cat": 0.6, "dog": 0.4}}
    with database.transaction() as conn:
        take(conn, spec, [(1, json.dumps(said).encode())])
        [status] = outputs.find(conn, "pets", [key])
    return status.spec_version


def test_each_content_of_a_spec_has_one_number_however_often_it_returns(database: Database) -> None:
    for below in (0.8, 0.8, 0.7, 0.8, 0.6):
        with database.transaction() as conn:
            loops.register(conn, pets(below))
    assert numbers(database) == [1, 2, 3]
    with database.transaction() as conn:
        assert loops.spec_at(conn, "pets", 2) == pets(0.7)
        assert loops.spec_version(conn, pets(0.8)) == 1
        assert loops.spec_at(conn, "pets", 4) is None


def test_an_output_knows_the_spec_that_chose_its_lane_even_if_it_was_replaced_meanwhile(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, pets(0.8))
    assert submit(database, pets(0.8), "a") == 1
    with database.transaction() as conn:
        loops.register(conn, pets(0.7))
    assert submit(database, pets(0.7), "b") == 2
    assert submit(database, pets(0.8), "c") == 1, "a request that read the earlier spec"
    assert submit(database, pets(0.7), "a") == 1, "known: the first spec chose its lane"
    with database.transaction() as conn:
        assert [version.outputs for version in loops.spec_versions(conn, "pets")] == [2, 1]


def test_two_that_store_new_contents_at_once_get_two_numbers(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, pets(0.8))

    def number(i: int) -> int | None:
        with database.transaction() as conn:
            return loops.spec_version(conn, pets(round(0.5 + i % 4 / 100, 2)))

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(number, range(16)))
    assert sorted(set(numbers(database))) == [1, 2, 3, 4, 5]
    assert all(found[i] == found[i % 4] for i in range(16))


@pytest.mark.owner
def test_a_removed_loop_keeps_no_version_and_counts_from_1_again(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, pets(0.8))
        loops.register(conn, pets(0.7))
        loops.archive(conn, "pets", "ada")
        removal.remove(conn, "pets")
        loops.register(conn, pets(0.6))
    assert numbers(database) == []
    with database.transaction() as conn:
        loops.restore(conn, "pets")
    assert submit(database, pets(0.6), "a") == 1


@pytest.mark.owner
def test_an_upgrade_that_adds_a_key_makes_no_version_of_a_spec_that_leaves_it_out(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, pets(0.8))
        # The row as the release before the keys stored it: without them, and hashed without them.
        stored = {name: value for name, value in pets(0.8).to_json().items() if name not in YOUNGER_KEYS}
        del stored["queue"]["control_weight"]  # younger, too
        del stored["queue"]["blind"]
        assert stored.keys() < pets(0.8).to_json().keys()
        sha256 = hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).digest()
        conn.execute("update spec_versions set spec = %s, sha256 = %s", [json.dumps(stored), sha256])
        loops.register(conn, pets(0.8))
        assert loops.spec_at(conn, "pets", 1) == pets(0.8)
        loops.register(conn, pets(0.8).model_copy(update={"reuse_answers": True}))
        loops.register(conn, pets(0.8))
    assert numbers(database) == [1, 2]
    assert submit(database, pets(0.8), "a") == 1
