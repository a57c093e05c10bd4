"""Pairs: two versions on the same held-out answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelloop.answers.item_scores import item_score
from labelloop.gate import Accuracy, Gain
from labelloop.gate.paired import p_better
from labelloop.labeling.config import LabelingConfig


def paired(config: LabelingConfig, rows: Sequence[Mapping[str, Any]], a: str, b: str) -> dict[str, Any]:
    """`rows` have label, one (what `a` said) and other (what `b` said); both names are for the sentence `said`.

    Interval and test are the gate's, but the test is two-sided, since nobody said beforehand which is to be better.
    The gain is b - a. Without rows what cannot be told is null.
    """
    n = len(rows)
    scores = np.array([[item_score(config, r["label"], r[side]) for side in ("one", "other")] for r in rows])
    scores = scores.reshape(n, 2)  # also of none
    metric = "accuracy" if np.isin(scores, (0.0, 1.0)).all() else "score"
    differences = scores[:, 1] - scores[:, 0]
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    # The same rows give the same figures.
    both = [Accuracy.of_scores(scores[:, side], metric, np.random.default_rng(0)).as_json() for side in (0, 1)]
    found: dict[str, Any] = {
        "holdout": n,
        "metric": metric,
        "accuracy_a": both[0],
        "accuracy_b": both[1],
        "better": better,
        "worse": worse,
        "differ": sum(row["one"] != row["other"] for row in rows),
        "p": None,
        "gain": None,
    }
    if n == 0:
        return {**found, "said": f"no held-out answer was used to judge both {a} and {b}: they cannot be compared"}
    p = min(1.0, 2 * min(p_better(sign * differences, np.random.default_rng(0)) for sign in (1, -1)))
    gain = Gain.of(differences, np.random.default_rng(0))
    words = "no difference beyond chance" if p > 0.05 else f"{b if gain.value > 0 else a} is better"
    said = (
        f"{words}: of {n} held-out answers that judged both, {b} does better on {better} and {a} on {worse}; "
        f"{b} gains {gain}, p = {p:.2g}"
    )
    return {**found, "p": p, "gain": gain.as_json(), "said": said}
