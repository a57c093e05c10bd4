"""Small sentence models of six words: a model2vec folder, and an .onnx file that is written here bit by bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

WORDS = ["[UNK]", "invoice", "bill", "password", "login", "the"]
VECTORS = np.array([[0, 0], [1, 0.1], [1, 0.2], [0.1, 1], [0.2, 1], [0, 0]], dtype=np.float32)
"""Money and entrance are far apart; words that mean the same are near."""


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    return made


def model2vec_folder(folder: Path) -> Path:
    from model2vec import StaticModel

    StaticModel(VECTORS, tokenizer()).save_pretrained(folder)
    return folder


def onnx_folder(
    folder: Path, vectors: npt.NDArray[np.float32] = VECTORS, takes: str = "input_ids", words: bool = True
) -> Path:
    """A model whose output is the vector of each token, shape (1, tokens, width)."""
    folder.mkdir(parents=True, exist_ok=True)
    table = _number(1, len(vectors)) + _number(1, vectors.shape[1]) + _number(2, 1) + _bytes(8, b"table")
    table += _bytes(9, vectors.astype("<f4").tobytes())
    node = _bytes(1, b"table") + _bytes(1, takes.encode()) + _bytes(2, b"tokens") + _bytes(4, b"Gather")
    graph = _bytes(1, node) + _bytes(2, b"words") + _bytes(5, table)
    graph += _bytes(11, _value(takes, 7, ["one", "n"])) + _bytes(12, _value("tokens", 1, ["one", "n", "width"]))
    opset = _bytes(1, b"") + _number(2, 13)
    (folder / "model.onnx").write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, opset))
    if words:
        tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def _value(name: str, kind: int, sides: list[str]) -> bytes:
    """A ValueInfoProto: a tensor whose sides are known when it runs."""
    shape = b"".join(_bytes(1, _bytes(2, side.encode())) for side in sides)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])
