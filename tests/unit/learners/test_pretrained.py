"""The pretrained network of pictures: its numbers, and files that are not what they should be."""

from __future__ import annotations

import base64
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import models
from backend.learners import make
from backend.learners.parts import pretrained, torch_file
from labelloop.errors import SettingsError, SpecError
from tests.support.data.learner_data import digits, picture

EXPECTED = {0: 0.0, 872: 0.460832, 974: 0.366655, 462: 0.269115, 1042: 0.267827}
"""Numbers of the vector of a ramp of colours, by efficientnet-lite-pytorch 0.1.0 on PyTorch 2.13.0."""
MEAN_OF_COLOURS = base64.b64decode(
    "CAg6WAoZCgFwEgFxIhFHbG9iYWxBdmVyYWdlUG9vbBIBZ1obCgFwEhYKFAgBEhAKAggBCgIIAwoCCAgKAggIYhsKAXESFgoUCAESEAoCCAEKAggDCgII"
    "AQoCCAFCBAoAEA0="
)
"""An ONNX file that gives the mean of each colour of a picture of 8 x 8 pixels."""


def test_the_packaged_network_gives_the_numbers_that_pytorch_gives() -> None:
    ramp = np.linspace(0, 1, 64 * 64 * 3, dtype=np.float32).reshape(64, 64, 3)
    vector = pretrained.network("", pretrained.SHA256)(ramp)
    assert vector.shape == (1280,)
    np.testing.assert_allclose(vector[list(EXPECTED)], list(EXPECTED.values()), atol=2e-6)


def test_a_picture_of_any_size_is_a_vector_of_unit_length_or_zeros() -> None:
    network, rng = pretrained.network("", pretrained.SHA256), np.random.default_rng(0)
    for side in (32, 97):
        noise = rng.random((side, side, 3), dtype=np.float32)
        assert np.linalg.norm(network(noise)) == pytest.approx(1.0)
    assert not network(np.ones((32, 32, 3), np.float32)).any(), "nothing is on white paper"


def test_it_learns_and_a_stored_version_predicts_the_same(tmp_path: Path) -> None:
    data, labels = digits(90)
    learner = make("images", {"field": "item", "features": "pretrained", "size": 48})
    learner.fit(data[:60], labels[:60], np.random.default_rng(0))
    predicted = learner.predict(data[60:]).labels
    assert np.mean([a == b for a, b in zip(predicted, labels[60:], strict=True)]) > 0.5
    stored = models.store(tmp_path, "loop", learner)
    assert models.load(tmp_path, stored.id).predict(data[60:]).labels == predicted


def test_a_file_of_weights_that_is_not_the_known_one_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    damaged = tmp_path / "weights.pth"
    shutil.copy(pretrained._packaged(), damaged)
    raw = bytearray(damaged.read_bytes())
    raw[1_000_000] ^= 1
    damaged.write_bytes(raw)
    monkeypatch.setattr(pretrained, "_packaged", lambda: damaged)
    with pytest.raises(SettingsError, match=r"has the SHA-256 [0-9a-f]{12}, and must have 579344248a93"):
        make("images", {"field": "image", "features": "pretrained"})


def test_without_the_package_the_extra_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(pretrained, "PACKAGE", "not_installed_here")
    with pytest.raises(SettingsError, match=r"pip install 'labelloop\[images\]'"):
        make("images", {"field": "image", "features": "pretrained"})


def test_an_onnx_file_of_the_users_gives_the_vectors(tmp_path: Path) -> None:
    file = tmp_path / "mean.onnx"
    file.write_bytes(MEAN_OF_COLOURS)
    learner = make("images", {"field": "image", "features": "pretrained", "model": str(file), "size": 8})
    dark, light = picture([[0.1] * 8] * 8), picture([[0.9] * 8] * 8)
    data = [{"image": dark}, {"image": light}] * 10
    learner.fit(data, ["dark", "light"] * 10, np.random.default_rng(0))
    assert learner.predict(data[:2]).labels == ["dark", "light"]
    make("images", learner.params)
    file.write_bytes(MEAN_OF_COLOURS + b"\0")
    with pytest.raises(SettingsError, match="has the SHA-256"):
        make("images", learner.params)


def test_files_that_are_no_network_are_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    given = {"field": "image", "features": "pretrained", "model": str(file)}
    with pytest.raises(SettingsError, match=r"cannot be read: No such file"):
        make("images", given)
    with pytest.raises(SettingsError, match=r"is the absolute path of an ONNX file, not 'a\.onnx'"):
        make("images", {**given, "model": "a.onnx"})
    for name, value in (("model", "/a.onnx"), ("colour", True)):
        with pytest.raises(SpecError, match=rf"learner.params.{name} is for `features: pretrained`, not for 'hog'"):
            make("images", {"field": "image", "features": "hog", name: value})
    with pytest.raises(SpecError, match=r"learner.params.size: at most 128 for `features: hog`, not 224"):
        make("images", {"field": "image", "features": "hog", "size": 224})
    assert make("images", {"field": "image", "features": "pretrained", "size": 224}).params["size"] == 224
    file.write_bytes(b"no model")
    data = [{"image": picture([[0.5] * 8] * 8)}] * 2
    with pytest.raises(SettingsError, match="is no ONNX model"):
        make("images", given).fit(data, ["a", "b"], np.random.default_rng(0))
    file.write_bytes(MEAN_OF_COLOURS)
    with pytest.raises(SettingsError, match=r"does not take a picture of 128 x 128 pixels \(learner.params.size\)"):
        make("images", given).fit(data, ["a", "b"], np.random.default_rng(0))


def test_a_file_of_weights_never_runs_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    file = tmp_path / "evil.pth"
    parts: list[Any] = [0, 0, {}, Evil()]
    file.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    with pytest.raises(SettingsError, match="holds no weights that can be read"):
        torch_file.read(file)
    assert not (tmp_path / "touched").exists()
