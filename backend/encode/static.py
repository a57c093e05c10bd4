"""Static: a model2vec model in a folder of the user's, which has one vector for each word."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.encode.encoder import damaged, half, id_of, sha256_of
from labelloop.errors import SettingsError
from labelloop.selection.sentences import CUT
from labelloop.selection.vectors import Vectors

MODEL_FILES = ("config.json", "tokenizer.json", "model.safetensors")
"""Files that model2vec reads: configuration, words and vectors. None of them holds code."""


class Static:
    """The mean of the vectors of a text's words."""

    def __init__(self, folder: Path) -> None:
        """Open the model. Raises SettingsError if it is missing, damaged or of another kind."""
        for part in MODEL_FILES:
            if not (folder / part).is_file():
                raise SettingsError(
                    f"the sentence encoder {str(folder)!r} holds neither model.onnx nor a model2vec model: "
                    f"there is no {part}"
                )
        self.id = id_of(folder.name, [sha256_of(folder / part) for part in MODEL_FILES])
        self._lock = threading.Lock()
        self._model = opened(folder)
        self.width = int(self._model.dim)

    def encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        cut = [text[:CUT].encode(errors="replace").decode() for text in texts]
        with self._lock:
            return half(self._model.encode(cut, use_multiprocessing=False))


def opened(folder: Path) -> Any:
    """Return the model2vec model in this folder. Raises SettingsError with the file that is damaged."""
    try:
        from model2vec import StaticModel
        from safetensors import safe_open
        from tokenizers import Tokenizer
    except ImportError:
        raise SettingsError(
            f"the sentence encoder {str(folder)!r} needs model2vec: pip install 'labelloop[embeddings]'"
        ) from None
    settings, words, weights = (folder / part for part in MODEL_FILES)
    path = settings
    try:
        if not isinstance(json.loads(settings.read_text(encoding="utf-8")), dict):
            raise ValueError("it holds no JSON object")
        path = words
        n = Tokenizer.from_file(str(words)).get_vocab_size()
        path = weights
        with safe_open(weights, framework="numpy") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        shape = shapes.get("embeddings", [])
        if len(shape) != 2:
            raise ValueError("it has no table `embeddings` of vectors")
        if shape[0] != n and "mapping" not in shapes:
            raise ValueError(f"it has {shape[0]} vectors, and tokenizer.json has {n} tokens")
        model = StaticModel.from_pretrained(str(folder))
        if not np.isfinite(model.embedding).all():
            raise ValueError("it has numbers that are not finite")
        model.encode(["a"], use_multiprocessing=False)
    except MemoryError:
        raise
    except Exception as exc:  # tokenizers and safetensors have no common class of errors
        raise damaged(path, exc) from exc
    return model
