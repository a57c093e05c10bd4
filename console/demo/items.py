"""The real input of the demo: handwritten digits or the user's labelled texts, split before anything starts."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.errors import UsageError
from labelloop.outputs.output import Output
from labelloop.reading.tables import contradictions, rows_of, text_of

MAX_SUBMITTED = 1_400
SCALE = 16
"""Screen pixels per side of each of the 8 x 8 scanned pixels."""


@dataclass(frozen=True, slots=True)
class Items:
    """Items with their true labels: `pool` is submitted, `test` is shown to no annotator, `few` trains the pipeline."""

    keys: list[str]
    data: list[dict[str, str]]
    truth: list[str]
    features: npt.NDArray[np.float64] | list[str]
    labels: tuple[str, ...]
    few: list[int]
    pool: list[int]
    test: list[int]
    contradicted: int = 0
    """Number of texts with two or more labels in the file."""

    def truth_of(self) -> Mapping[str, str]:
        return dict(zip(self.keys, self.truth, strict=True))


def digits(seed: int) -> Items:
    """Return scikit-learn's bundled handwritten digits (Alpaydin and Kaynak 1998): 1,797 scans of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    truth = [str(t) for t in bunch.target]
    data = [{"image": _picture(image)} for image in bunch.images]
    keys = [f"digit-{i:04d}" for i in range(len(truth))]
    features = np.asarray(bunch.data, dtype=np.float64) / 16
    return _parted(keys, data, truth, features, tuple(map(str, range(10))), seed, few=20)


def texts(path: Path, text: str | None, label: str | None, field: str, seed: int, encoding: str | None = None) -> Items:
    """Return the user's labelled texts. A text with several rows in the file has the label of the last one.

    Raises UsageError that names the fault in the file or in the columns.
    """
    table = rows_of(path, encoding)
    columns = list(table[0]) if table else []
    for option, column in (("--text", text), ("--label", label)):
        if column not in columns:
            raise UsageError(f"{option} is {column!r}; the columns of {path} are: {', '.join(columns) or 'none'}")
    pairs = [(text_of(row.get(str(text))), text_of(row.get(str(label)))) for row in table]
    rows = [(t, y) for t, y in dict(pairs).items() if t and y]
    labels = tuple(sorted({y for _, y in rows}))
    if len(labels) < 2 or len(rows) < 20 * len(labels):
        raise UsageError(
            f"{path} has {len(rows)} different texts with {len(labels)} labels; the demo needs at least 2 labels and "
            f"20 texts per label"
        )
    keys = [f"{path.stem[:40]}-{i:06d}" for i in range(len(rows))]
    keys = ["".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in key) for key in keys]
    data = [{field: t} for t, _ in rows]
    items = _parted(keys, data, [y for _, y in rows], [t for t, _ in rows], labels, seed, few=4 * len(labels))
    return replace(items, contradicted=contradictions((t, y) for t, y in pairs if t and y))


def weak_outputs(items: Items, seed: int) -> tuple[list[Output], list[str]]:
    """Train the pipeline's model on `few` items. Return its outputs for the pool and its labels for the test set."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model: Any = LogisticRegression(C=10, max_iter=2000)
    if isinstance(items.features, list):
        model = make_pipeline(TfidfVectorizer(sublinear_tf=True), model)
    model.fit(_take(items.features, items.few), [items.truth[i] for i in items.few])
    proba = model.predict_proba(_take(items.features, items.pool))
    outputs = [
        Output(
            key=items.keys[i],
            data=items.data[i],
            probabilities={str(c): float(p) for c, p in zip(model.classes_, row, strict=True)},
            model_version=f"handful-{seed}",
        )
        for i, row in zip(items.pool, proba, strict=True)
    ]
    return outputs, [str(y) for y in model.predict(_take(items.features, items.test))]


def _take(features: npt.NDArray[np.float64] | list[str], index: list[int]) -> Any:
    return [features[i] for i in index] if isinstance(features, list) else features[index]


def _parted(
    keys: list[str],
    data: list[dict[str, str]],
    truth: list[str],
    features: npt.NDArray[np.float64] | list[str],
    labels: tuple[str, ...],
    seed: int,
    few: int,
) -> Items:
    order = np.random.default_rng(seed).permutation(len(keys)).tolist()
    # The pipeline's model must see every label at least once, or it can never predict it.
    first = {truth[i]: i for i in reversed(order)}
    training = list(first.values())
    training += [i for i in order if i not in set(training)][: few - len(training)]
    rest = [i for i in order if i not in set(training)]
    cut = min(MAX_SUBMITTED, int(0.8 * len(rest)))
    return Items(keys, data, truth, features, labels, training, rest[:cut], rest[cut : cut + 500])


def _picture(grey: npt.NDArray[np.float64]) -> str:
    """Return a scan (values 0 to 16) as a data: URI, enlarged without smoothing so that it can be read back."""
    from PIL import Image

    pixels = (255 - np.asarray(grey) * 255 / 16).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.kron(pixels, np.ones((SCALE, SCALE), dtype=np.uint8))).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
