"""Second opinions on answers that one person gave."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from backend.score.prelabel import prelabel
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import doubts
from labelloop.versions.version import VersionPair
from tests.support.backend_factory import (
    answer,
    settings_for,
)
from tests.support.hops.rescoring import LABELS, said, target, text_loop, texts

CHUNK = 32


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.score.prelabel.CHUNK", CHUNK)


def test_what_one_person_answered_is_doubted_and_nothing_else(database: Database, settings: Settings) -> None:
    """Not hold-out: who is judged must not choose which of the judge's answers are looked at again."""
    spec = text_loop(database, settings, 60, second=0.1)
    _, truths = texts(60)
    with database.transaction() as conn:
        ids = {row["key"]: row["id"] for row in conn.execute("select id, key from outputs where lane = 'rule'")}
        held_out = [row["id"] for row in conn.execute("select id from outputs where holdout")]
        keys = sorted(ids, key=lambda key: int(key.removeprefix("item-")))[:8]
        answers: dict[UUID, str | None] = {ids[key]: truths[int(key.removeprefix("item-"))] for key in keys}
        wrong, new, tie, twice = keys[0], keys[1], keys[2], keys[3]
        truth = truths[int(wrong.removeprefix("item-"))]
        answers |= {ids[wrong]: next(label for label in LABELS if label != truth), ids[new]: "bacon", ids[tie]: None}
        answer(conn, spec.name, answers | dict.fromkeys(held_out, "ham"))
        conn.execute("update answers set reviewers = 2 where output_id = %s", (ids[twice],))
        for state in ("pushing", "in_review", "answered"):
            conn.execute("update outputs set state = %s where id = any(%s)", (state, [*answers, *held_out]))
        conn.execute("delete from pool where output_id = any(%s)", ([*answers, *held_out],))
    off = spec.model_copy(update={"queue": spec.queue.model_copy(update={"second": 0.0})})
    with database.transaction() as conn:
        from labelloop.store.tables import loops

        loops.register(conn, off)
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        assert said(conn) == {}, "nobody asked for second opinions"
        loops.register(conn, spec)

    prelabel(database, spec.name, settings.models_dir)

    with database.transaction() as conn:
        found = said(conn)
        assert set(found) == {wrong, *keys[4:]}, "not where no version can tell, nor where two have answered"
        assert max(found, key=lambda key: found[key]["doubt"]) == wrong
        assert {row["pair"] for row in found.values()} == {target(database, spec.name)}
        answer(conn, spec.name, {ids[wrong]: "bacon"})
        conn.execute("update doubts set ranker = 'older'")
    prelabel(database, spec.name, settings.models_dir)
    with database.transaction() as conn:
        assert set(said(conn)) == set(keys[4:]), "what it cannot doubt any more is forgotten"


def test_a_doubt_of_an_answer_that_was_changed_meanwhile_is_not_kept(database: Database, settings: Settings) -> None:
    spec = text_loop(database, settings, 20, second=0.1)
    with database.transaction() as conn:
        ids = [row["id"] for row in conn.execute("select id from outputs where lane = 'rule' order by id")][:2]
        answer(conn, spec.name, dict.fromkeys(ids, "ham"))
        for state in ("pushing", "in_review", "answered"):
            conn.execute("update outputs set state = %s where id = any(%s)", (state, ids))
        rows = doubts.unseen(conn, spec.name, VersionPair("v", "v"), 10)
        assert [row.output_id for row in rows] == ids
        answer(conn, spec.name, {ids[0]: "spam"})
        doubts.write(
            conn,
            spec.name,
            VersionPair("v", "v"),
            dict.fromkeys(ids, 0.9),
            {row.output_id: row.seq for row in rows},
        )
        assert [row["output_id"] for row in conn.execute("select output_id from doubts")] == ids[1:]
