"""Sentence vectors on the real Postgres: computed once, the most useful first, never of two encoders at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.decide.promote import promote
from backend.encode import encoder
from backend.encode.children import Children
from backend.encode.items import vectors_of
from backend.encode.kept import Encode, with_vectors
from backend.score import fill as fill_module
from backend.score.fill import fill, mark_of
from backend.score.prelabel import prelabel
from backend.train.replay import train_again
from backend.train.train import train
from backend.worker import ask_for_vectors
from labelloop.errors import SettingsError
from labelloop.process.settings import Settings
from labelloop.selection.vectors import Vectors
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.sentences import vectors as vector_store
from labelloop.store.sentences import waiting
from labelloop.store.tables import jobs, runs
from tests.support.backend_factory import answer, put_into_label_studio, settings_for, submit
from tests.support.hops.encoders import VECTORS, model2vec_folder, onnx_folder
from tests.support.hops.rescoring import fitted, version
from tests.support.hops.retraining import asked, claimed
from tests.support.hops.sentences import Asked, sentences_spec
from tests.support.workers.backend_worker import WORDS
from tests.support.workers.consumers import line_to

TEXTS = ["the invoice", "a bill", "the password", "my login", "the bill and the login", ""]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def words(tmp_path: Path) -> str:
    return str(model2vec_folder(tmp_path / "words"))


def submitted(database: Database, spec: LoopSpec, texts: Sequence[object] = TEXTS) -> list[dict[str, Any]]:
    data = [{"text": text} for text in texts]
    with database.transaction() as conn:
        submit(conn, spec, data, ["ham", "spam"] * (len(texts) // 2) + ["ham"] * (len(texts) % 2))
    return data


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.transaction() as conn:
        return [tuple(row.values()) for row in conn.execute(statement).fetchall()]


def _nothing_is_missing(name: str) -> Encode:
    def encode(texts: Sequence[str]) -> Vectors:
        raise AssertionError(f"{list(texts)} by {name}")

    return encode


def test_a_vector_is_computed_once_and_is_the_same_from_postgres(database: Database, words: str) -> None:
    spec, heard = sentences_spec(words), Asked()
    data = [*submitted(database, spec), {"text": "a bill"}]
    first = with_vectors(database, spec, data, heard)
    assert sorted(heard.texts) == sorted(TEXTS), "a text that comes twice is computed once"
    again = with_vectors(database, spec, data, heard)
    assert (again, len(heard.texts)) == (first, len(TEXTS))
    fresh = encoder(words).encode([item["text"] for item in data])
    model = encoder(words)
    np.testing.assert_array_equal(vectors_of(again, "text", model), fresh)
    assert rows(database, "select loop, name, encoder, width from sentence_encoders") == [("texts", words, model.id, 2)]


def test_items_without_a_text_stay_as_they_are(database: Database, words: str) -> None:
    data: list[dict[str, Any]] = [{"text": None}, {"other": "a"}, {"text": ["a bill"]}]
    assert with_vectors(database, sentences_spec(words), data) == data


def test_a_number_has_the_vector_of_the_text_that_people_see(database: Database, words: str) -> None:
    spec, heard = sentences_spec(words), Asked()
    submitted(database, spec, [7, 5.0, 1e-5, True])
    assert fill(database, "texts", encoding=heard) == 4
    assert sorted(heard.texts) == ["0.00001", "5", "7", "true"]
    with_vectors(database, spec, [{"text": "5"}, {"text": 5}, {"text": 7}], heard)
    assert len(heard.texts) == 4, "numbers and texts have the same vectors"


def test_the_most_useful_come_first_and_open_tasks_before_them(database: Database, words: str) -> None:
    spec, heard = sentences_spec(words), Asked()
    submitted(database, spec, [f"text {i}" for i in range(10)])
    with database.transaction() as conn:
        conn.execute("update pool set utility = substr(key, 6)::int / 10.0, lane = 'rule'")
        conn.execute("update pool set lane = 'audit' where key = 'item-9'")
        conn.execute("update pool set utility = 1 where key = 'item-0'")
        open_ = put_into_label_studio(conn, "texts", 1)
        found = waiting.without_vector(conn, "texts", "any", 100)
        keys = {row["id"]: row["key"] for row in conn.execute("select id, key from outputs")}
    assert found[:1] == open_
    expected = ["item-0", *(f"item-{i}" for i in range(8, 0, -1)), "item-9"]
    assert [keys[id_] for id_ in found[1:]] == [key for key in expected if key != keys[open_[0]]]
    assert fill(database, "texts", encoding=heard) == 10
    assert len(rows(database, "select from sentence_vectors")) == 10
    assert fill(database, "texts", encoding=heard) == 0
    assert len(heard.texts) == 10


def test_a_pass_is_resumed_where_it_was_stopped(
    database: Database, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill_module, "TEXTS_AT_A_TIME", 4)
    spec, stop = sentences_spec(words), threading.Event()
    submitted(database, spec, [f"text {i}" for i in range(10)])
    heard = Asked(lambda texts: stop.set())
    assert fill(database, "texts", stop, heard) == 4
    assert fill(database, "texts", threading.Event(), heard) == 6
    assert len(heard.texts) == len(set(heard.texts)) == 10


def test_a_long_pass_asks_for_another_so_that_other_loops_have_their_turn(
    database: Database, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill_module, "TEXTS_AT_A_TIME", 4)
    submitted(database, sentences_spec(words), [f"text {i}" for i in range(10)])
    assert fill(database, "texts", slice_s=0) == 4
    assert (asked(database, jobs.EMBED), asked(database, jobs.PUSH)) == (1, 1)


def test_a_loop_without_vectors_and_one_that_is_gone_need_none(database: Database, words: str) -> None:
    learner = sentences_spec().learner.model_copy(update={"name": "incremental"})
    submitted(database, sentences_spec(words).model_copy(update={"learner": learner}))
    assert fill(database, "texts") == fill(database, "nowhere") == 0
    assert rows(database, "select from sentence_encoders") == []


def test_other_files_of_the_encoder_never_mix_with_the_cached_vectors(database: Database, tmp_path: Path) -> None:
    """The new model has another width; the old vectors stay for the version that learned from them."""
    folder = onnx_folder(tmp_path / "words")
    spec = sentences_spec(str(folder))
    data = submitted(database, spec)
    old, model = with_vectors(database, spec, data), encoder(str(folder))
    wide = sentences_spec(str(onnx_folder(tmp_path / "wide" / "words", np.repeat(VECTORS, 2, axis=1))))
    other, heard = encoder(wide.learner.encoder or ""), Asked()
    assert (model.width, other.width) == (2, 4)
    new = with_vectors(database, wide, data, heard)
    assert len(heard.texts) == len(TEXTS), "no old vector is taken"
    np.testing.assert_array_equal(vectors_of(new, "text", other), other.encode(TEXTS))
    np.testing.assert_array_equal(vectors_of(old, "text", other), other.encode(TEXTS))
    assert [row[0] for row in rows(database, "select width from sentence_encoders")] == [4]
    assert with_vectors(database, spec, data, _nothing_is_missing) == old


def test_a_damaged_row_of_another_width_is_computed_again(database: Database, words: str) -> None:
    spec = sentences_spec(words)
    data = submitted(database, spec)
    before = with_vectors(database, spec, data)
    with database.transaction() as conn:
        conn.execute("update sentence_vectors set vector = vector || vector")
    assert with_vectors(database, spec, data) == before
    assert {len(row[0]) for row in rows(database, "select vector from sentence_vectors")} == {4}


def test_another_field_is_looked_through_anew(database: Database, words: str) -> None:
    spec = sentences_spec(words)
    submitted(database, spec)
    assert fill(database, "texts") == len(TEXTS)
    with database.transaction() as conn:
        assert not waiting.without_vector(conn, "texts", mark_of(encoder(words).id, "text"), 9)
        assert len(waiting.without_vector(conn, "texts", mark_of(encoder(words).id, "title"), 9)) == len(TEXTS)


def test_missing_vectors_are_asked_for_by_the_worker(database: Database, words: str) -> None:
    submitted(database, sentences_spec(words))
    seen: dict[str, float] = {}
    ask_for_vectors(database, seen, 0.0)
    assert asked(database, jobs.EMBED) == 1
    with database.transaction() as conn:
        conn.execute("delete from procrastinate_jobs")
    fill(database, "texts")
    ask_for_vectors(database, seen, 1e6)
    assert asked(database, jobs.EMBED) == 0


def test_scoring_gets_vectors_from_children_and_keeps_them(database: Database, settings: Settings, words: str) -> None:
    spec = sentences_spec(words)
    data = submitted(database, spec)
    version(database, settings, "texts", fitted("text", data[:4], ["ham", "spam"] * 2, field="text"), champion=True)
    with Children(threading.Event(), most=1) as children:
        assert prelabel(database, "texts", settings.models_dir, encoding=children.of) == len(TEXTS)
    assert len(rows(database, "select from sentence_vectors")) == len(TEXTS)
    np.testing.assert_array_equal(
        vectors_of(with_vectors(database, spec, data, _nothing_is_missing), "text", encoder(words)),
        encoder(words).encode(TEXTS),
    )


def test_a_run_learns_from_vectors_that_are_computed_once(database: Database, settings: Settings, words: str) -> None:
    """Training, its replay, scoring and serving read the same vectors; only the first computes any."""
    spec = sentences_spec(words, holdout=0.3, retrain=Retrain(search=False))
    others = [" ".join(WORDS[(i * 7 + j * 41) % len(WORDS)] for j in range(6)) for i in range(60)]  # unlike each other
    texts = [f"{'invoice bill' if i % 2 else 'password login'} {other}" for i, other in enumerate(others)]
    data, truths = [{"text": text} for text in texts], ["ham" if i % 2 else "spam" for i in range(60)]
    with database.transaction() as conn:
        ids = submit(conn, spec, data, truths)
        answer(conn, "texts", {ids[f"item-{i}"]: truths[i] for i in range(40)})
    run_id = claimed(database, "texts")
    made = train(database, settings.models_dir, run_id, settings=settings)
    assert len(rows(database, "select from sentence_vectors")) == 40, made
    with database.transaction() as conn:
        conn.execute("update sentence_vectors set vector = '\\x003c003c'")
        runs.finish(conn, run_id, "refused", version_id=made["version"])
    assert train_again(database, settings.models_dir, run_id, 1)["version"] != made["version"], "the table is read"
    with database.transaction() as conn:
        conn.execute("delete from sentence_vectors")
    assert train_again(database, settings.models_dir, run_id, 1)["version"] == made["version"]
    promote(database, "texts", made["version"], "a test", "to see", models_dir=settings.models_dir)
    heard = Asked()
    assert prelabel(database, "texts", settings.models_dir, encoding=heard) == 60
    assert len(heard.texts) == 60 - made["trained_on"]
    assert [row[0] for row in rows(database, "select label from pool order by substr(key, 6)::int")] == truths


@pytest.mark.parametrize("statement", ["get", "keep"])
def test_a_run_goes_on_when_postgres_is_away_while_vectors_are_read_or_kept(
    database: Database, settings: Settings, words: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = submitted(database, sentences_spec(words), [f"the bill {i}" for i in range(20)])
    with database.transaction() as conn:
        ids = [row["id"] for row in conn.execute("select id from outputs order by key")]
        answer(conn, "texts", {id_: ("ham", "spam")[i % 2] for i, id_ in enumerate(ids)})
    run_id, do, cuts = claimed(database, "texts"), getattr(vector_store, statement), list[threading.Timer]()
    with line_to(database.url) as (line, beyond):

        def in_the_middle(*args: Any) -> Any:
            if not cuts:
                line.cut()
                cuts.append(threading.Timer(2, line.mend))
                cuts[0].start()
            return do(*args)

        monkeypatch.setattr(vector_store, statement, in_the_middle)
        assert "version" in train(beyond, settings.models_dir, run_id)
        cuts[0].join()
    assert rows(database, "select count(*) from sentence_vectors") == [(len(data),)]


def test_vectors_are_the_same_from_every_engine(database: Database, words: str) -> None:
    from distributed import LocalCluster

    spec = sentences_spec(words)
    submitted(database, spec, [f"the bill {i}" for i in range(150)])
    local = fill(database, "texts"), rows(database, "select * from sentence_vectors order by text_hash")
    assert local[0] == 150
    two = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")  # type: ignore[no-untyped-call]
    with two:
        for engine in ({"on": "loky", "workers": 1}, {"on": "dask", "cluster": two.scheduler_address}):
            with database.transaction() as conn:
                conn.execute("truncate sentence_vectors, sentence_outputs")
            assert fill(database, "texts", **engine) == 150
            assert rows(database, "select * from sentence_vectors order by text_hash") == local[1]


def test_an_encoder_that_cannot_be_used_says_why(database: Database, tmp_path: Path) -> None:
    submitted(database, sentences_spec(str(tmp_path / "nowhere")))
    with pytest.raises(SettingsError, match=r"is no folder and no \.onnx file"):
        fill(database, "texts")
