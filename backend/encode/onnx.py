"""ONNX: a sentence model of the user's as an .onnx file beside a tokenizer.json, by onnxruntime on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.encode.encoder import damaged, half, id_of, sha256_of
from labelloop.errors import SettingsError
from labelloop.selection.sentences import CUT
from labelloop.selection.vectors import Vectors

MOST_TOKENS = 256
"""Tokens of a text that are read, if tokenizer.json sets no limit."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""Inputs that a model may take, by name. It must take the first one."""


class Onnx:
    """The first output of a model, one row a text or one row a token; rows of tokens are averaged.

    Each text is a call of its own: in a model of 8-bit integers the other texts of a call change the rounding.
    """

    def __init__(self, path: Path) -> None:
        """Open the model. Raises SettingsError if it, or its tokenizer.json, is missing, damaged or of another kind."""
        words = path.parent / "tokenizer.json"
        if not path.is_file():
            raise SettingsError(f"there is no sentence encoder {str(path)!r}: no such file")
        if not words.is_file():
            raise SettingsError(f"the sentence encoder {str(path)!r} needs the file tokenizer.json beside it")
        self.id = id_of(path.parent.name if path.name == "model.onnx" else path.stem, [*map(sha256_of, (path, words))])
        self._session, self._tokenizer = _opened(path, words)
        self._takes = {one.name for one in self._session.get_inputs()}
        if "input_ids" not in self._takes or not self._takes.issubset(INPUTS):
            raise SettingsError(
                f"the sentence encoder {str(path)!r} takes {', '.join(sorted(self._takes))}; a model of sentences "
                f"takes input_ids, and perhaps {' and '.join(INPUTS[1:])}"
            )
        self._unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._lock = threading.Lock()
        self._path = path
        self.width = len(self._vector("a", self._tokenizer.encode("a")))

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        for place, text in enumerate(texts):
            with self._lock:
                found = self._tokenizer.encode(text[:CUT].encode(errors="replace").decode())
            if self._has_known(found):
                vectors[place] = self._vector(text, found, self.width)
        return half(vectors)

    def _has_known(self, found: Any) -> bool:
        return any(
            not special and token != self._unknown
            for special, token in zip(found.special_tokens_mask, found.tokens, strict=True)
        )

    def _vector(self, text: str, found: Any, width: int | None = None) -> Vectors:
        """Return the vector of a text, from its tokens. Raises SettingsError if there is none, or not of this width."""
        given = dict(zip(INPUTS, (found.ids, found.attention_mask, found.type_ids), strict=True))
        tokens = {name: np.array([given[name]], dtype=np.int64) for name in given if name in self._takes}
        try:
            rows = self._session.run(None, tokens)[0]
            shape = rows.shape
            if rows.ndim == 3:
                rows = rows.mean(axis=1, dtype=np.float64)
            if rows.ndim != 2 or len(rows) != 1 or rows.shape[1] != (width or rows.shape[1]):
                wanted = width or "width"
                raise ValueError(f"its first output has the shape {shape}, not (1, {wanted}) or (1, tokens, {wanted})")
            if not np.isfinite(rows).all():
                raise ValueError("its first output has numbers that are not finite")
        except MemoryError:
            raise
        except Exception as exc:  # onnxruntime has no public class of errors
            raise SettingsError(
                f"the sentence encoder {str(self._path)!r} cannot encode {text[:40]!r} ({str(exc)[:200]}): copy "
                "model.onnx and tokenizer.json again from one source, or name another model"
            ) from exc
        vector: Vectors = rows[0].astype(np.float32)
        return vector


def _opened(path: Path, words: Path) -> tuple[Any, Any]:
    """Return session and tokenizer. Raises SettingsError."""
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError:
        raise SettingsError(
            f"the sentence encoder {str(path)!r} needs onnxruntime and tokenizers: pip install 'labelloop[embeddings]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sums in one order
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise damaged(path, exc) from exc
    try:
        tokenizer = Tokenizer.from_file(str(words))
    except Exception as exc:
        raise damaged(words, exc) from exc
    tokenizer.no_padding()
    if tokenizer.truncation is None:
        tokenizer.enable_truncation(MOST_TOKENS)
    return session, tokenizer
