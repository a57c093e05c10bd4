"""A labelled set: items with their true labels, parted into a pool to learn from and a test part that judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.errors import UsageError
from labelloop.reading.tables import contradictions

RARE = 0.25
"""Two classes of which one has a smaller share than this are judged by F1: always naming the other one is no skill."""
TEST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Labelled:
    """`data[i]` has the label `classes[codes[i]]`; `pool` and `test` are positions, and have no text in common."""

    name: str
    learner: str
    """Which learner of the product reads it; EMBEDDINGS where it learns from given vectors."""
    field: str
    data: Sequence[Mapping[str, object]]
    classes: tuple[str, ...]
    codes: npt.NDArray[np.intp]
    pool: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]
    embeddings: npt.NDArray[np.float32] | None = None
    left_out: Mapping[str, int] | None = None
    """Why rows of the file are not in it -> how many."""
    contradicted: int = 0
    """Different items that stand in the file with two labels or more; their rows count like all others."""

    @property
    def rare(self) -> int | None:
        """The code of the class whose F1 is the score; None where the score is accuracy."""
        shares = np.bincount(self.codes, minlength=len(self.classes)) / len(self.codes)
        return int(shares.argmin()) if len(shares) == 2 and shares.min() < RARE else None

    @property
    def score_name(self) -> str:
        return "accuracy" if self.rare is None else f"F1 of {self.classes[self.rare]!r}"

    def score(self, said: npt.NDArray[np.intp]) -> float:
        """Of the codes that were said of the test part."""
        truth = self.codes[self.test]
        if self.rare is None:
            return float((said == truth).mean())
        hit = int(((said == self.rare) & (truth == self.rare)).sum())
        wrong = int(((said == self.rare) != (truth == self.rare)).sum())
        return 2 * hit / (2 * hit + wrong) if hit else 0.0


EMBEDDINGS = "embeddings"


def parted(
    name: str,
    learner: str,
    field: str,
    rows: Sequence[tuple[Mapping[str, object], str, str | None]],
    seed: int = 0,
    embeddings: npt.NDArray[Any] | None = None,
) -> Labelled:
    """A set of (data, label, split) rows. Raises UsageError where nothing can be learned from it.

    `split` is "train" or "test" for all rows, or None for all: then a quarter is drawn for the test part.
    Rows without an item or a label are left out, and so is what the pool has in common with the test part.
    """
    vectors = None if embeddings is None else _vectors(embeddings, len(rows))
    left_out: Counter[str] = Counter()
    kept = []
    for i, (data, label, split) in enumerate(rows):
        if not label or data.get(field) in ("", None):
            left_out["no item or no label"] += 1
        elif split not in ("train", "test", None):
            left_out["neither train nor test"] += 1
        else:
            kept.append(i)
    if not kept:
        raise UsageError(f"{name} has no row with an item and a label ({len(rows)} rows)")
    classes = tuple(sorted({rows[i][1] for i in kept}))
    if len(classes) < 2:
        raise UsageError(f"{name}: all {len(kept)} rows have the label {classes[0]!r}; two labels at least are needed")
    code = {label: c for c, label in enumerate(classes)}
    test = {i for i in kept if rows[i][2] == "test"}
    if all(rows[i][2] is None for i in kept):
        order = np.random.default_rng([seed, 1]).permutation(kept)
        test = set(order[: max(1, int(TEST_SHARE * len(kept)))].tolist())
    contradicted = contradictions((rows[i][0][field], rows[i][1]) for i in kept)
    seen = {rows[i][0][field] for i in test}
    common = {i for i in kept if i not in test and rows[i][0][field] in seen}
    if common:
        left_out["also in the test part"] = len(common)
    kept = [i for i in kept if i not in common]
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
        contradicted=contradicted,
    )
    for part, rows_of in (("to learn from", found.pool), ("in the test part", found.test)):
        if len(np.unique(found.codes[rows_of])) < 2:
            raise UsageError(f"{name} has {len(rows_of)} rows {part}, with fewer than two labels among them")
    return found


def _vectors(embeddings: npt.NDArray[Any], n: int) -> npt.NDArray[np.float32]:
    """Raises UsageError for anything but one finite row of numbers for each row of the file."""
    if embeddings.ndim != 2 or embeddings.shape[1] == 0 or embeddings.dtype.kind not in "fiu":
        raise UsageError(
            f"the embeddings are a {embeddings.dtype} array of the shape {embeddings.shape}; wanted are numbers of "
            f"the shape (rows, width)"
        )
    if len(embeddings) != n:
        raise UsageError(f"the embeddings have {len(embeddings)} rows, the data {n}: one row each, in the same order")
    vectors = np.asarray(embeddings, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise UsageError(f"the embeddings have NaN or infinity in {len(bad)} rows, the first is row {bad[0]}")
    return vectors
