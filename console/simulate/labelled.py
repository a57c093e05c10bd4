"""A labelled set: items with their true labels, split into a pool for training and a test set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.errors import UsageError
from labelloop.reading.tables import contradictions

RARE_CLASS_SHARE = 0.25
"""With two classes, the metric is F1 if one has a smaller share than this, because always predicting the other class
would have a high accuracy."""
TEST_SHARE = 0.25
"""Share of the rows drawn for the test set, if the file does not split them."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """`data[i]` has the label `classes[codes[i]]`; `pool` and `test` are positions without an item in common."""

    name: str
    learner: str
    """The learner that reads the items, by name; EMBEDDINGS for given vectors."""
    field: str
    data: Sequence[Mapping[str, object]]
    classes: tuple[str, ...]
    codes: npt.NDArray[np.intp]
    pool: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]
    embeddings: npt.NDArray[np.float32] | None = None
    left_out: Mapping[str, int] | None = None
    """Reason why rows of the file were left out -> number of rows."""
    contradicted: int = 0
    """Number of items with two or more labels in the file; their rows are used like all others."""

    @property
    def rare_class(self) -> int | None:
        """The code of the class whose F1 is the metric; None if the metric is accuracy."""
        shares = np.bincount(self.codes, minlength=len(self.classes)) / len(self.codes)
        return int(shares.argmin()) if len(shares) == 2 and shares.min() < RARE_CLASS_SHARE else None

    @property
    def metric_name(self) -> str:
        return "accuracy" if self.rare_class is None else f"F1 of {self.classes[self.rare_class]!r}"

    def metric(self, predicted: npt.NDArray[np.intp]) -> float:
        """Return the accuracy, or the F1 of the rare class, of the codes predicted for the test set."""
        truth = self.codes[self.test]
        if self.rare_class is None:
            return float((predicted == truth).mean())
        hit = int(((predicted == self.rare_class) & (truth == self.rare_class)).sum())
        wrong = int(((predicted == self.rare_class) != (truth == self.rare_class)).sum())
        return 2 * hit / (2 * hit + wrong) if hit else 0.0


EMBEDDINGS = "embeddings"
Row = tuple[Mapping[str, object], str, str | None]
"""Data, label, and split of one row."""


def split_set(
    name: str,
    learner: str,
    field: str,
    rows: Sequence[Row],
    seed: int = 0,
    embeddings: npt.NDArray[Any] | None = None,
) -> Labelled:
    """Return the set of these rows. Raises UsageError if nothing can be trained on it.

    The split of a row is "train" or "test" in all rows, or None in all: then a quarter is drawn for the test set.
    Rows without an item or a label are left out, and so are rows of the pool whose item is also in the test set.
    """
    vectors = None if embeddings is None else _vectors(embeddings, len(rows))
    left_out: Counter[str] = Counter()
    usable = _usable(name, field, rows, left_out)
    classes = tuple(sorted({rows[i][1] for i in usable}))
    if len(classes) < 2:
        raise UsageError(
            f"{name}: all {len(usable)} rows have the label {classes[0]!r}; at least two labels are needed"
        )
    test = _test_rows(rows, usable, seed)
    kept = _without_test_items(field, rows, usable, test, left_out)
    code = {label: c for c, label in enumerate(classes)}
    place = {i: at for at, i in enumerate(kept)}
    found = Labelled(
        name=name,
        learner=learner,
        field=field,
        data=[rows[i][0] for i in kept],
        classes=classes,
        codes=np.array([code[rows[i][1]] for i in kept]),
        pool=np.array([place[i] for i in kept if i not in test], dtype=np.intp),
        test=np.array([place[i] for i in kept if i in test], dtype=np.intp),
        embeddings=None if vectors is None else vectors[kept],
        left_out=dict(left_out),
        contradicted=contradictions((rows[i][0][field], rows[i][1]) for i in usable),
    )
    for part, positions in (("for training", found.pool), ("in the test set", found.test)):
        if len(np.unique(found.codes[positions])) < 2:
            raise UsageError(f"{name} has {len(positions)} rows {part}, with fewer than two labels among them")
    return found


def _usable(name: str, field: str, rows: Sequence[Row], left_out: Counter[str]) -> list[int]:
    """Return the rows with an item, a label and a known split; count the others in `left_out`."""
    usable = []
    for i, (data, label, split) in enumerate(rows):
        if not label or data.get(field) in ("", None):
            left_out["no item or no label"] += 1
        elif split not in ("train", "test", None):
            left_out["neither train nor test"] += 1
        else:
            usable.append(i)
    if not usable:
        raise UsageError(f"{name} has no row with an item and a label ({len(rows)} rows)")
    return usable


def _test_rows(rows: Sequence[Row], usable: list[int], seed: int) -> set[int]:
    """Return the rows whose split is "test"; without any split, a random TEST_SHARE of them."""
    if any(rows[i][2] is not None for i in usable):
        return {i for i in usable if rows[i][2] == "test"}
    order = np.random.default_rng([seed, 1]).permutation(usable)
    return set(order[: max(1, int(TEST_SHARE * len(usable)))].tolist())


def _without_test_items(
    field: str, rows: Sequence[Row], usable: list[int], test: set[int], left_out: Counter[str]
) -> list[int]:
    """Return `usable` without rows of the pool whose item is also in the test set; count those in `left_out`."""
    tested = {rows[i][0][field] for i in test}
    common = {i for i in usable if i not in test and rows[i][0][field] in tested}
    if common:
        left_out["also in the test set"] = len(common)
    return [i for i in usable if i not in common]


def _vectors(embeddings: npt.NDArray[Any], n: int) -> npt.NDArray[np.float32]:
    """Check the embeddings: numbers, finite, one row per row of the file. Raises UsageError otherwise."""
    if embeddings.ndim != 2 or embeddings.shape[1] == 0 or embeddings.dtype.kind not in "fiu":
        raise UsageError(
            f"the embeddings are a {embeddings.dtype} array of shape {embeddings.shape}; needed are numbers of "
            f"shape (rows, width)"
        )
    if len(embeddings) != n:
        raise UsageError(
            f"the embeddings have {len(embeddings)} rows, the data {n}; they need one row each, in the same order"
        )
    vectors = np.asarray(embeddings, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise UsageError(f"the embeddings have NaN or infinity in {len(bad)} rows, the first is row {bad[0]}")
    return vectors
