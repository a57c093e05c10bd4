"""Static: a model2vec model in a folder of the user's, which has one vector for each word."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.encode.encoder import half, id_of, sha256_of
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
        try:
            from model2vec import StaticModel
        except ImportError:
            raise SettingsError(
                f"the sentence encoder {str(folder)!r} needs model2vec: pip install 'labelloop[embeddings]'"
            ) from None
        try:
            self._model: Any = StaticModel.from_pretrained(str(folder))
            self.width = int(self._model.dim)
            self.encode(["a"])
        except Exception as exc:
            raise SettingsError(f"the sentence encoder {str(folder)!r} is damaged: {exc}") from exc

    def encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        cut = [text[:CUT].encode(errors="replace").decode() for text in texts]
        with self._lock:
            return half(self._model.encode(cut, use_multiprocessing=False))
