"""Model files: the same bytes for the same fit, and nothing but our own bytes is ever loaded."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io

from backend import models
from backend.learners import make, text
from labelloop.errors import Failed

ITEMS: list[dict[str, object]] = [{"t": f"{'good' if i % 2 else 'bad'} thing number {i}"} for i in range(40)]
LABELS = ["good" if i % 2 else "bad" for i in range(40)]


def stored(folder: Path) -> str:
    return models.store(folder, "loop", make("text", {"field": "t"}).fit(ITEMS, LABELS, np.random.default_rng(0))).id


def planted(folder: Path, raw: bytes) -> str:
    """A file whose name is the digest of its bytes, written by anybody."""
    identity = hashlib.sha256(raw).hexdigest()
    models.path(folder, identity).write_bytes(raw)
    return identity


class Payload:
    """The action of an attacker's pickle when it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(Path(os.environ["PYTEST_TMP"]) / "pwned"),)


def test_a_stored_learner_comes_back_as_it_was(tmp_path: Path) -> None:
    learner = make("text", {"field": "t", "characters": False}).fit(ITEMS, LABELS, np.random.default_rng(0))
    back = models.load(tmp_path, models.store(tmp_path, "loop", learner).id)
    assert (back.name, back.params, back.classes) == (learner.name, learner.params, learner.classes)
    np.testing.assert_array_equal(back.predict(ITEMS).proba, learner.predict(ITEMS).proba)


def test_a_text_learner_that_drops_rare_words_is_not_a_file_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MAX_FEATURES", 30)
    file = models.path(tmp_path, stored(tmp_path))
    assert len(zipfile.ZipFile(file).namelist()) < 20


def test_two_loops_never_share_a_version(tmp_path: Path) -> None:
    learner = make("text", {"field": "t"}).fit(ITEMS, LABELS, np.random.default_rng(0))
    assert models.store(tmp_path, "one", learner).id != models.store(tmp_path, "two", learner).id


@pytest.mark.parametrize("where", [0, 0.5, 0.999])
def test_a_file_with_one_bit_changed_is_refused(tmp_path: Path, where: float) -> None:
    version = stored(tmp_path)
    file = models.path(tmp_path, version)
    raw = bytearray(file.read_bytes())
    raw[int(where * len(raw))] ^= 1
    file.write_bytes(raw)
    with pytest.raises(Failed, match="damaged or was changed"):
        models.load(tmp_path, version)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"version aaaaaaaaaaaa cannot be read: No such file"):
        models.load(tmp_path, "a" * 64)


def test_a_pickle_is_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of a model, and under a name that fits its bytes."""
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path))
    attack = pickle.dumps(Payload())
    version = stored(tmp_path)
    models.path(tmp_path, version).write_bytes(attack)
    with pytest.raises(Failed, match="damaged or was changed"):
        models.load(tmp_path, version)
    with pytest.raises(Failed, match="not a model of ours"):
        models.load(tmp_path, planted(tmp_path, attack))
    assert not (tmp_path / "pwned").exists()


def test_a_skops_file_with_a_foreign_type_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path))
    with pytest.raises(Failed, match="types that we do not trust"):
        models.load(tmp_path, planted(tmp_path, skops.io.dumps({"estimator": os.system})))
    with pytest.raises(Failed, match="types that we do not trust"):
        models.load(tmp_path, planted(tmp_path, skops.io.dumps(Payload())))
    assert not (tmp_path / "pwned").exists()


def test_a_skops_file_that_is_no_model_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="not a model of ours"):
        models.load(tmp_path, planted(tmp_path, skops.io.dumps({"estimator": 1})))


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "MAX_BYTES", 1 << 20)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(models.MAX_BYTES + 1))
    with pytest.raises(Failed, match="unpacks to more than"):
        models.load(tmp_path, planted(tmp_path, bomb.getvalue()))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, ""])
def test_only_a_digest_names_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        models.path(tmp_path, name)
