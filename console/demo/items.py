"""The real input of the demo: handwritten digits, or the user's own labelled texts, parted before anything starts."""

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

SUBMITTED = 1_400
SCALE = 16
"""Screen pixels a side for each of the 8 x 8 scanned ones."""


@dataclass(frozen=True, slots=True)
class Items:
    """Items with their true labels: `pool` goes to the loop, `test` to nobody, and the pipeline learned from `few`."""

    keys: list[str]
    data: list[dict[str, str]]
    truth: list[str]
    features: npt.NDArray[np.float64] | list[str]
    labels: tuple[str, ...]
    few: list[int]
    pool: list[int]
    test: list[int]
    contradicted: int = 0
    """Texts that stand in the file with two labels or more."""

    def truth_of(self) -> Mapping[str, str]:
        return dict(zip(self.keys, self.truth, strict=True))


def digits(seed: int) -> Items:
    """scikit-learn's bundled handwritten digits (Alpaydin and Kaynak 1998): 1,797 real scans of 8 x 8 grey pixels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    truth = [str(t) for t in bunch.target]
    data = [{"image": _picture(image)} for image in bunch.images]
    keys = [f"digit-{i:04d}" for i in range(len(truth))]
    features = np.asarray(bunch.data, dtype=np.float64) / 16
    return _parted(keys, data, truth, features, tuple(map(str, range(10))), seed, few=20)


def texts(path: Path, text: str | None, label: str | None, field: str, seed: int, encoding: str | None = None) -> Items:
    """The user's labelled texts; one that stands in the file several times has the label of its last row.

    Raises UsageError naming what is wrong with the file or the columns.
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
            f"{path} has {len(rows)} different texts with {len(labels)} labels; the demo takes at least 2 labels and "
            f"20 texts a label"
        )
    keys = [f"{path.stem[:40]}-{i:06d}" for i in range(len(rows))]
    keys = ["".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in key) for key in keys]
    data = [{field: t} for t, _ in rows]
    items = _parted(keys, data, [y for _, y in rows], [t for t, _ in rows], labels, seed, few=4 * len(labels))
    return replace(items, contradicted=contradictions((t, y) for t, y in pairs if t and y))


def weak_outputs(items: Items, seed: int) -> tuple[list[Output], list[str]]:
    """The pipeline: a model fitted to a handful. Returns its outputs for the pool and its labels for the test part."""
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
    # The pipeline must know every label at least once, or it could not even be wrong about it.
    first = {truth[i]: i for i in reversed(order)}
    handful = list(first.values())
    handful += [i for i in order if i not in set(handful)][: few - len(handful)]
    rest = [i for i in order if i not in set(handful)]
    cut = min(SUBMITTED, int(0.8 * len(rest)))
    return Items(keys, data, truth, features, labels, handful, rest[:cut], rest[cut : cut + 500])


def _picture(grey: npt.NDArray[np.float64]) -> str:
    """A scan of values 0 to 16 as a data: URI, enlarged without smoothing so that the pixels can be read back."""
    from PIL import Image

    pixels = (255 - np.asarray(grey) * 255 / 16).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.kron(pixels, np.ones((SCALE, SCALE), dtype=np.uint8))).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
