"""Search: a few parameters of a learner, by cross-validation inside the training cut and never on the hold-out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.learners import Learner, make
from labelloop.errors import Failed
from labelloop.reading.paths import value_at
from labelloop.selection import likeness
from labelloop.threads import one_thread
from labelloop.versions.items import TrainingItem

Told = Callable[[int, int], None]
MIN_ANSWERS = 300
MAX_ANSWERS = 2_000
"""Of more, evenly spaced ones are tried: what is best of the few that are tried changes slowly."""
FOLDS = 3
TIME_SHARE = 0.3
"""Of the run's time; a search that needs longer is given up, and the learner stays as it was."""


def search(
    learner: Learner, said: Mapping[str, Any], rows: Sequence[TrainingItem], seed: int, limit_s: float, told: Told
) -> tuple[Learner, dict[str, Any] | None]:
    """The learner with the best of the parameters that its class names in `grid`, and what was tried.

    `said`: what loop.yaml says of the parameters, which stands. Another setting than the learner's own is taken only
    where it is right more often by more than one standard error of the paired difference (Breiman et al. 1984, section
    3.4.3). The same rows and seed choose the same, unless time runs out. None: nothing was tried.
    """
    grid = {name: values for name, values in getattr(type(learner), "grid", {}).items() if name not in said}
    if not grid or len(rows) < MIN_ANSWERS:
        return learner, None
    rows = [rows[int(i)] for i in np.linspace(0, len(rows) - 1, min(len(rows), MAX_ANSWERS))]
    groups = _groups(rows, learner.params.get("field"))
    if (n := len(set(groups.tolist()))) < FOLDS:
        why = f"they hang together in {n} groups; {FOLDS} at least are needed"
        return learner, {"answers": len(rows), "given_up": why}
    candidates = _candidates(learner, grid)
    from sklearn.model_selection import GroupKFold

    folds = list(GroupKFold(FOLDS).split(rows, groups=groups))
    ends, right = time.monotonic() + limit_s, []
    for done, candidate in enumerate(candidates):
        told(done, len(candidates))
        try:
            right.append(_right(make(learner.name, candidate), rows, folds, seed, ends))
        except Failed as exc:
            return learner, {"answers": len(rows), "given_up": str(exc)}
    gains = [(float((one.astype(int) - right[0]).sum()), float((one != right[0]).sum() ** 0.5)) for one in right]
    best = max(range(len(candidates)), key=lambda i: (gains[i][0], -i))
    chosen = best if gains[best][0] > gains[best][1] else 0
    tried = [
        {"params": {name: params[name] for name in grid}, "right": int(one.sum()), "of": len(rows)}
        for params, one in zip(candidates, right, strict=True)
    ]
    found = {"answers": len(rows), "folds": FOLDS, "tried": tried, "chosen": tried[chosen]["params"]}
    return make(learner.name, candidates[chosen]), found


def _candidates(learner: Learner, grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The learner as it is first, then every combination of the grid."""
    own = dict(learner.params)
    others = [{**own, **dict(zip(grid, values, strict=True))} for values in itertools.product(*grid.values())]
    return [own, *(params for params in others if params != own)]


def _right(
    learner: Learner, rows: Sequence[TrainingItem], folds: Sequence[tuple[Any, Any]], seed: int, ends: float
) -> npt.NDArray[np.bool_]:
    """Which rows it has right when it was taught the other folds. Raises Failed where it cannot be, or not in time."""
    right = np.zeros(len(rows), dtype=bool)
    for taught, judged in folds:
        if time.monotonic() > ends:
            raise Failed("it would have taken too much of the run's time")
        part = [rows[i] for i in taught]
        learner.fit(
            [row.data for row in part],
            [row.label for row in part],
            np.random.default_rng([seed, 1]),
            weights_of(part),
        )
        labels = learner.predict([rows[i].data for i in judged]).labels
        right[judged] = [label == rows[i].label for i, label in zip(judged, labels, strict=True)]
    return right


def weights_of(rows: Sequence[TrainingItem]) -> list[float] | None:
    """What `fit` takes; None where all count alike."""
    weights = [row.weight for row in rows]
    return None if len(set(weights)) < 2 else weights


def _groups(rows: Sequence[TrainingItem], field: object) -> npt.NDArray[np.int64]:
    """Equal numbers for rows that belong together: by their group, or as near-duplicates."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(rows)
    _, named = np.unique([row.group_key for row in rows], return_inverse=True)
    texts = [value_at(row.data, str(field)) for row in rows]
    alike = np.arange(n)
    if all(isinstance(text, str) and not text.startswith("data:") for text in texts):
        with one_thread:
            alike = likeness.duplicates([likeness.plain(str(text)) for text in texts])
    # A row ties the number of its group to that of its near-duplicates: what hangs together is one.
    graph = coo_array((np.ones(n), (named, n + alike)), shape=(2 * n, 2 * n))
    return np.asarray(connected_components(graph, directed=False)[1][named], dtype=np.int64)
