"""Search: choose a few parameters of a learner by cross-validation on the training set, never on the hold-out set."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from backend.learners import Learner, make
from backend.train.groups import related
from backend.train.recipes import choose
from backend.train.weights import weights_of
from labelloop.errors import Failed
from labelloop.spec.learners import AUTO
from labelloop.versions.items import TrainingItem

if TYPE_CHECKING:
    from backend.learners.texts.auto import Auto

Report = Callable[[int, int], None]
"""Called with the number of settings tried, and the number of all settings."""
MIN_ANSWERS = 300
MAX_ANSWERS = 2_000
"""Answers used; from more, evenly spaced ones are taken, since the best of a few settings changes slowly."""
FOLDS = 3
TIME_SHARE = 0.3
"""Share of the run's time. A search that has used it up is given up, and the learner keeps its parameters."""


def search(
    learner: Learner, fixed: Mapping[str, Any], rows: Sequence[TrainingItem], seed: int, limit_s: float, report: Report
) -> tuple[Learner, dict[str, Any] | None]:
    """Return the learner with the best parameters of its class's `grid`, and the settings tried; None if none were.

    A class can have several grids. `fixed`: parameters that loop.yaml sets, which are not searched. A setting replaces
    the learner's own only if its accuracy is higher by more than one standard error of the paired difference (Breiman
    et al. 1984, section 3.4.3). The same rows and seed choose the same setting, unless time runs out. The learner
    `auto` chooses its recipe instead.
    """
    if learner.name == AUTO:
        return choose(cast("Auto", learner), fixed, rows, seed, limit_s, report)
    found = getattr(type(learner), "grid", {})
    grids = [
        {name: values for name, values in grid.items() if name not in fixed}
        for grid in ([found] if isinstance(found, Mapping) else found)
    ]
    names = list(dict.fromkeys(name for grid in grids for name in grid))
    if not names or len(rows) < MIN_ANSWERS:
        return learner, None
    rows = [rows[int(i)] for i in np.linspace(0, len(rows) - 1, min(len(rows), MAX_ANSWERS))]
    groups = related(rows, learner.params.get("field"))
    if (n := len(set(groups.tolist()))) < FOLDS:
        why = f"the answers form only {n} groups of related items; at least {FOLDS} are needed"
        return learner, {"answers": len(rows), "given_up": why}
    candidates = _candidates(learner, names, grids)
    from sklearn.model_selection import GroupKFold

    folds = list(GroupKFold(FOLDS).split(rows, groups=groups))
    ends, correct = time.monotonic() + limit_s, []
    for done, candidate in enumerate(candidates):
        report(done, len(candidates))
        try:
            correct.append(_correct(make(learner.name, candidate), rows, folds, seed, ends))
        except Failed as exc:
            return learner, {"answers": len(rows), "given_up": str(exc)}
    gains = [(float((one.astype(int) - correct[0]).sum()), float((one != correct[0]).sum() ** 0.5)) for one in correct]
    best = max(range(len(candidates)), key=lambda i: (gains[i][0], -i))
    chosen = best if gains[best][0] > gains[best][1] else 0
    tried = [
        {"params": {name: params[name] for name in names}, "right": int(one.sum()), "of": len(rows)}
        for params, one in zip(candidates, correct, strict=True)
    ]
    result = {"answers": len(rows), "folds": FOLDS, "tried": tried, "chosen": tried[chosen]["params"]}
    return make(learner.name, candidates[chosen]), result


def _candidates(
    learner: Learner, names: Sequence[str], grids: Sequence[Mapping[str, Sequence[Any]]]
) -> list[dict[str, Any]]:
    """Return the learner's own parameters first, then every combination of each grid, each once."""
    found = [{**{name: getattr(learner, name) for name in names}, **learner.params}]
    for grid in grids:
        for values in itertools.product(*grid.values()):
            params = {**found[0], **dict(zip(grid, values, strict=True))}
            if params not in found:
                found.append(params)
    return found


def _correct(
    learner: Learner, rows: Sequence[TrainingItem], folds: Sequence[tuple[Any, Any]], seed: int, ends: float
) -> npt.NDArray[np.bool_]:
    """Return whether each row is predicted correctly by a model trained on the other folds.

    Raises Failed if it cannot be trained, or not in time.
    """
    correct = np.zeros(len(rows), dtype=bool)
    for training, held_out in folds:
        if time.monotonic() > ends:
            raise Failed("the search would have taken too much of the run's time")
        part = [rows[i] for i in training]
        learner.fit(
            [row.data for row in part],
            [row.label for row in part],
            np.random.default_rng([seed, 1]),
            weights_of(part),
        )
        labels = learner.predict([rows[i].data for i in held_out]).labels
        correct[held_out] = [label == rows[i].label for i, label in zip(held_out, labels, strict=True)]
    return correct
