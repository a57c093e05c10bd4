"""/predict of a loop that learns from sentence vectors: kept vectors, missing ones, unknown texts, damaged encoders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from backend.encode import encoder
from backend.service import create_app
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Action
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.backend_factory import put_into_label_studio, settings_for, submit
from tests.support.hops.encoders import model2vec_folder
from tests.support.hops.rescoring import fitted, version
from tests.support.hops.sentences import sentences_spec
from tests.support.ml_backend import PROJECT, basic, tasks

TEXTS = ["the invoice", "a bill", "the password", "my login"]
TRUTHS = ["ham", "ham", "spam", "spam"]
UNKNOWN = ["", "   ", "ᚠᚢᚦᚨᚱᚲ", "xyz"]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def words(tmp_path: Path) -> Iterator[Path]:
    yield model2vec_folder(tmp_path / "words")
    forget()


@pytest.fixture
def spec(database: Database, settings: Settings, words: Path) -> LoopSpec:
    """A loop whose champion learned invoices and bills from passwords and logins; its outputs are tasks."""
    spec = spec_of(words)
    data = [{"text": text} for text in TEXTS]
    with database.transaction() as conn:
        submit(conn, spec, [*data, *({"text": text} for text in [*UNKNOWN, 7])], [*TRUTHS, *TRUTHS, "ham"])
        put_into_label_studio(conn, spec.name, 9)
    learner = fitted("sentences", data * 5, TRUTHS * 5, field="text", encoder=str(words))
    version(database, settings, spec.name, learner, champion=True)
    return spec


@pytest.fixture
def client(settings: Settings, database: Database, spec: LoopSpec) -> FlaskClient:
    return create_app(settings, database).test_client()


def spec_of(encoder_folder: Path) -> LoopSpec:
    return sentences_spec(str(encoder_folder), actions=(Action(fields=("correction",)),))


def forget() -> None:
    """Read encoders anew, as a process does that was just started."""
    encoder.__globals__["_read"].cache_clear()


def predicted(client: FlaskClient, spec: LoopSpec, database: Database) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the answer, and the prediction of each task in the order of `texts`."""
    found = tasks(database, 9)
    body = {"tasks": found, "project": PROJECT, "label_config": spec.labels_xml, "params": {"context": None}}
    response = client.post("/predict", json=body, headers=basic())
    assert response.status_code == 200, response.text
    by_text = {task["data"]["text"]: one for task, one in zip(found, response.get_json()["results"], strict=True)}
    return response.get_json(), [by_text[text] for text in [*TEXTS, *UNKNOWN, 7]]


def vectors(database: Database) -> int:
    with database.transaction() as conn:
        row = conn.execute("select count(*) as n from sentence_vectors").fetchone()
    assert row is not None
    return int(row["n"])


def labels(found: list[dict[str, Any]]) -> list[str | None]:
    return [one["result"][0]["value"]["choices"][0] if one["result"] else None for one in found]


def test_a_missing_vector_is_computed_once_and_the_answer_is_the_same_from_postgres(
    client: FlaskClient, database: Database, spec: LoopSpec
) -> None:
    assert vectors(database) == 0
    _, first = predicted(client, spec, database)
    assert labels(first)[:4] == TRUTHS
    assert all(0.5 < one["score"] <= 1 for one in first[:4])
    assert vectors(database) == 9
    assert predicted(client, spec, database)[1] == first
    with database.transaction() as conn:  # the vectors of the other label
        conn.execute(
            "update sentence_vectors set vector = %s where vector <> '\\x00000000'",
            (encoder(spec.learner.encoder or "").encode(["password"]).astype("<f2").tobytes(),),
        )
    assert labels(predicted(client, spec, database)[1])[:4] == ["spam"] * 4, "kept vectors are read"


def test_a_text_without_any_known_token_has_a_prediction_that_says_so(
    client: FlaskClient, database: Database, spec: LoopSpec
) -> None:
    for _ in range(2):
        _, found = predicted(client, spec, database)
        scores = [one["score"] for one in found[4:]]
        np.testing.assert_allclose(scores, scores[0], err_msg="all of them are equal to the model")
        assert max(scores) < min(one["score"] for one in found[:4])
        assert all(np.isfinite(one["score"]) for one in found)


def test_an_encoder_that_is_damaged_while_its_champion_serves_changes_no_answer(
    client: FlaskClient, database: Database, spec: LoopSpec, words: Path
) -> None:
    before, _ = predicted(client, spec, database)
    (words / "model.safetensors").write_bytes(b"x" * 99)
    with database.transaction() as conn:
        conn.execute("delete from sentence_vectors")
    assert predicted(client, spec, database)[0] == before


def test_after_a_start_with_a_damaged_encoder_the_pipeline_answers_and_the_reason_is_told(
    settings: Settings, database: Database, spec: LoopSpec, words: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (words / "model.safetensors").write_bytes(b"x" * 99)
    forget()
    client = create_app(settings, database).test_client()
    answer, found = predicted(client, spec, database)
    assert answer["model_version"] == "pipeline"
    assert all(one["model_version"] == "pipeline" and one["score"] == pytest.approx(0.6) for one in found)
    assert "cannot serve here: learner.params.encoder: the sentence encoder's file" in caplog.text
    assert "model.safetensors' is damaged" in caplog.text
    assert client.get("/readyz").get_json()["status"] == "degraded"


def test_a_damaged_encoder_in_a_changed_loop_does_not_stop_the_champion_that_reads_another(
    client: FlaskClient, settings: Settings, database: Database, spec: LoopSpec, tmp_path: Path
) -> None:
    before, _ = predicted(client, spec, database)
    other = model2vec_folder(tmp_path / "other")
    with database.transaction() as conn:
        loops.register(conn, spec_of(other))
    (other / "model.safetensors").write_bytes(b"x" * 99)
    assert predicted(create_app(settings, database).test_client(), spec, database)[0] == before


def test_the_champion_in_memory_encodes_texts_itself_while_postgres_is_away(
    settings: Settings, database: Database, spec: LoopSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.serve.champions.CHECK_EVERY_S", 0.0)
    body = {"tasks": tasks(database, 9), "project": PROJECT, "label_config": spec.labels_xml, "params": {}}
    with Database(settings.database_url, wait_s=0.2) as other:
        client = create_app(settings, other).test_client()
        before = client.post("/predict", json=body, headers=basic()).get_json()
        other._pool.close()
        assert client.get("/readyz").status_code == 503
        said = client.post("/predict", json=body, headers=basic())
    assert (said.status_code, said.get_json()) == (200, before)
