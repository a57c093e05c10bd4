"""Spans: predicts spans in a text, such as names, by a linear-chain conditional random field (crfsuite).

Lafferty, McCallum and Pereira 2001, "Conditional random fields". Tags are B, I and O of Ramshaw and Marcus 1995.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pycrfsuite

from backend.learners.parts.tokens import Token, described, pieces, tokens_of
from backend.learners.predictions import Predictions
from backend.learners.reading import different, parsed, read_field
from labelloop.errors import Failed
from labelloop.labeling.kinds.spans import Span, read_spans, write_spans
from labelloop.selection.features import read_text

OUTSIDE_TAG = "O"
TOKENS_PER_PIECE = 1000
"""Tokens in one sequence; a longer text is cut into pieces, so that memory stays small."""
REPEATS_AT_FULL_WEIGHT = 4
"""crfsuite has no weights: an answer of the highest weight is repeated this many times, others in proportion."""


class Spans:
    """Predicts spans of whole words. In training, a span that begins or ends within a word is extended to that word. If
    spans of an answer overlap, only the first is used; of those that begin together, the longest.

    The confidence is the probability of all tags of the text together. The evidence is the probability of each token's
    tag. `c1` and `c2` are the weights of the L1 and L2 penalties.
    """

    name: ClassVar[str] = "spans"

    def __init__(self, field: str, c1: float = 0.2, c2: float = 0.002, iterations: int = 100) -> None:
        self.field = field
        self.c1, self.c2, self.iterations = c1, c2, iterations
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None
        """crfsuite's model file, as an array of bytes."""
        self._using = threading.Lock()
        self._tagger: tuple[Any, Any, bytes] | None = None

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field, "c1": self.c1, "c2": self.c2, "iterations": self.iterations}

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        read_field(data, self.field, read_text)

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        different(data, labels)
        texts, answers = read_field(data, self.field, read_text), parsed(labels, read_spans)
        trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
        trainer.set_params(
            {
                "c1": self.c1,
                "c2": self.c2,
                "max_iterations": self.iterations,
                "feature.possible_transitions": True,
            }
        )
        for text, spans, times in zip(texts, answers, _times(weights, len(texts)), strict=True):
            for piece in pieces(tokens_of(text), TOKENS_PER_PIECE):
                seen, tags = pycrfsuite.ItemSequence(described(piece)), _tags(piece, spans)
                for _ in range(times):
                    trainer.append(seen, tags)
        with tempfile.TemporaryDirectory(prefix="labelloop-crf-") as folder:
            file = Path(folder) / "model"
            try:
                trainer.train(str(file))
                model = file.read_bytes()
            except (pycrfsuite.CRFSuiteError, OSError) as exc:
                raise Failed(f"training on the {len(data)} items failed: {exc}") from exc
        self.classes = tuple(sorted({span.label for spans in answers for span in spans}))
        self.estimator = np.frombuffer(model, np.uint8)
        return self

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        labels, confidences, evidence = [], [], []
        for text in read_field(data, self.field, read_text):
            spans: list[Span] = []
            shares: list[float] = []
            confidence = 1.0
            for piece in pieces(tokens_of(text), TOKENS_PER_PIECE):
                tags, sure, each = self._tag(piece)
                spans += _spans(piece, tags)
                confidence *= sure
                shares += each
            labels.append(write_spans(spans))
            confidences.append(confidence)
            evidence.append({"tokens": shares})
        return Predictions(labels, np.clip(np.array(confidences), 0.0, 1.0), evidence=evidence)

    def _tag(self, piece: Sequence[Token]) -> tuple[list[str], float, list[float]]:
        """The tags, the probability of all of them together, and of each."""
        seen = pycrfsuite.ItemSequence(described(piece))
        with self._using:  # crfsuite's tagger holds its last input, so only one thread may use it
            if self._tagger is None or self._tagger[0] is not self.estimator:
                tagger, model = pycrfsuite.Tagger(), self.estimator.tobytes()
                tagger.open_inmemory(model)
                self._tagger = self.estimator, tagger, model  # the tagger reads the bytes but does not keep them alive
            tagger = self._tagger[1]
            tags = tagger.tag(seen)
            each = [min(1.0, tagger.marginal(tag, i)) for i, tag in enumerate(tags)]
            return tags, tagger.probability(tags), each


def _times(weights: Sequence[float] | None, n: int) -> list[int]:
    """Return the number of repetitions of each of n items."""
    if weights is None or len(set(weights)) < 2:
        return [1] * n
    most = max(weights)
    return [max(1, round(REPEATS_AT_FULL_WEIGHT * weight / most)) for weight in weights]


def _tags(piece: Sequence[Token], spans: Sequence[Span]) -> list[str]:
    tags, end = [OUTSIDE_TAG] * len(piece), 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end, span.label)):
        if span.start < end:
            continue
        covered = [i for i, token in enumerate(piece) if token.start < span.end and token.end > span.start]
        for i in covered:
            if tags[i] == OUTSIDE_TAG:
                tags[i] = f"{'B' if i == covered[0] else 'I'}-{span.label}"
        end = span.end
    return tags


def _spans(piece: Sequence[Token], tags: Sequence[str]) -> list[Span]:
    found: list[Span] = []
    before = OUTSIDE_TAG
    for token, tag in zip(piece, tags, strict=True):
        if tag != OUTSIDE_TAG:
            if tag[0] == "I" and before[1:] == tag[1:]:
                found[-1] = found[-1]._replace(end=token.end)
            else:
                found.append(Span(token.start, token.end, tag[2:]))
        before = tag
    return found
