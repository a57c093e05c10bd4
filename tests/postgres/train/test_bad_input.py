"""Bad input to a retrain run, on the real Postgres: each ends in a clear verdict, and the champion serves on."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from backend import models
from backend.serve.champions import Champions
from backend.train.train import train
from labelloop.errors import Failed, LabelloopError
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import LearnerSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, runs, versions
from tests.support.backend_factory import (
    PROJECT_ID,
    answer,
    new_champion,
    put_into_label_studio,
    settings_for,
    submit,
    texts_spec,
)

GOOD = [f"{'win a prize' if i % 2 else 'see you at home'}, number {i}" for i in range(40)]
TRUTHS = ["spam" if i % 2 else "ham" for i in range(40)]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def champion_of(database: Database) -> str | None:
    with database.transaction() as conn:
        found = versions.champion(conn, "texts")
    return None if found is None else str(found.id)


def loop_of(database: Database, texts: list[Any], labels: list[str], learner: LearnerSpec | None = None) -> LoopSpec:
    """A loop of which all outputs are answered, and none is held out."""
    spec = texts_spec(holdout=0.0, learner=learner or LearnerSpec())
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": text} for text in texts], TRUTHS[: len(texts)])
        answer(conn, spec.name, {ids[f"item-{i}"]: label for i, label in enumerate(labels)})
    return spec


def outcome(database: Database, settings: Settings) -> dict[str, Any]:
    """Run a training run in this process and return its result."""
    with database.transaction() as conn:
        run_id = runs.request(conn, "texts", "a test")
        runs.claim(conn, "texts", champion_of(database))
    assert run_id is not None
    try:
        return train(database, settings.models_dir, run_id)
    except LabelloopError as exc:
        return {"error": str(exc)}


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        ([], "0 answers to train on, at least 2 are needed: refused"),
        (["spam"], "1 answers to train on, at least 2 are needed: refused"),
        (["spam"] * 20, "training needs answers with at least 2 different labels; all 20 are 'spam': refused"),
    ],
)
@pytest.mark.parametrize("name", ["text", "committee"])
def test_too_little_to_learn_from_is_refused_whatever_the_learner(
    database: Database, settings: Settings, labels: list[str], verdict: str, name: str
) -> None:
    loop_of(database, GOOD[:20], labels, LearnerSpec(name=name))
    assert outcome(database, settings)["refused"].startswith(verdict)


def test_texts_of_a_megabyte_are_trained_on_and_values_that_are_no_text_are_left_out_by_name(
    database: Database, settings: Settings
) -> None:
    texts = [*GOOD[:20], "prize " * 180_000, 7, ["see you"], None]
    loop_of(database, texts, [*TRUTHS[:20], "spam", "ham", "ham", "spam"])
    made = outcome(database, settings)
    assert made["trained_on"] == 22, "a number is the text that people see"
    reason = (
        r"2 of 24 answers left out, the learner cannot read them: item 'item-22': its field 'text' is not text but list"
    )
    assert any(reason in note and "(and 1 more)" in note for note in made["notes"]), made["notes"]


def test_pictures_of_which_none_loads_are_a_verdict(database: Database, settings: Settings) -> None:
    loop_of(database, ["data:image/png;base64,AAAA", "https://x/y.png"] * 5, TRUTHS[:10], LearnerSpec(name="images"))
    said = outcome(database, settings)["refused"]
    assert said.startswith("0 answers to train on")
    assert "10 of 10 answers left out" in said
    assert "does not load as an image" in said


@pytest.mark.parametrize(
    ("learner", "error"),
    [
        (LearnerSpec(name="sklearn.svm.LinearSVC"), "has no predict_proba.*CalibratedClassifierCV"),
        (LearnerSpec(name="magic"), "no learner 'magic'; there are: "),
        (LearnerSpec(name="text", params={"embeddings": "/nowhere"}), "holds no model2vec model"),
    ],
)
def test_a_learner_that_cannot_be_made_fails_with_a_sentence_and_the_champion_serves_on(
    database: Database, settings: Settings, learner: LearnerSpec, error: str
) -> None:
    """The loop was registered before the learner broke, say by an upgrade."""
    spec = loop_of(database, GOOD, TRUTHS)
    assert settings.models_dir is not None
    champion = new_champion(database, "texts", settings.models_dir)
    with database.transaction() as conn:
        loops.register(conn, spec.model_copy(update={"learner": learner}))
    assert re.search(error, outcome(database, settings)["error"])
    assert champion_of(database) == champion


def test_a_type_that_may_not_be_loaded_is_no_version(database: Database, settings: Settings) -> None:
    spec = loop_of(database, [[float(i % 2), i / 40.0] for i in range(40)], TRUTHS)
    learner = LearnerSpec(name="sklearn.gaussian_process.GaussianProcessClassifier", params={"reads": "vectors"})
    with database.transaction() as conn:
        loops.register(conn, spec.model_copy(update={"learner": learner}))
    said = outcome(database, settings)["error"]
    assert "types that we do not trust" in said
    assert "sklearn.gaussian_process" in said
    with database.transaction() as conn:
        assert versions.list_(conn, "texts") == []


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.environ["LABELLOOP_TEST_PWNED"],)


@pytest.mark.parametrize("attack", ["a changed byte", "a pickle"])
def test_a_champions_file_that_was_tampered_with_stops_the_run_and_not_the_service(
    database: Database, settings: Settings, attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwned = tmp_path / "pwned"
    monkeypatch.setenv("LABELLOOP_TEST_PWNED", str(pwned))
    loop_of(database, GOOD, TRUTHS)
    assert settings.models_dir is not None
    champion = new_champion(database, "texts", settings.models_dir)
    with database.transaction() as conn:
        (shown,) = put_into_label_studio(conn, "texts", 1)
        # The same answers would make the same version, and so put the file right.
        answer(conn, "texts", {shown: None})
    serving = Champions(database, settings.models_dir)
    assert serving.of(PROJECT_ID) is not None
    file = models.path(settings.models_dir, champion)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(pickle.dumps(Payload()) if attack == "a pickle" else raw)

    said = outcome(database, settings)

    assert "is damaged or was changed (its SHA-256 is not its name)" in said["error"]
    with pytest.raises(Failed, match="damaged or was changed"):
        models.load(settings.models_dir, champion)
    assert not pwned.exists()
    assert champion_of(database) == champion
    still = serving.of(PROJECT_ID)
    assert still is not None
    assert (still.version_id, still.trouble) == (champion, None), "what was loaded before serves on"
