"""Pairs: a comparison of two versions on the same held-out answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.report.disagreements import same
from labelloop.answers.item_scores import item_score
from labelloop.gate import Accuracy, Gain
from labelloop.gate.paired import p_better
from labelloop.labeling.config import LabelingConfig
from labelloop.store.questions.versions import AnswerInCommon


def paired(config: LabelingConfig, rows: Sequence[AnswerInCommon], a: str, b: str) -> dict[str, Any]:
    """Compare version `a` (field `one` of the rows) with version `b` (field `other`).

    Keys: "holdout", "metric", "accuracy_a", "accuracy_b", "better", "worse", "differ", "p", "gain" (b - a) and "said",
    one sentence with both names. Intervals and test are those of the gate. The test is two-sided, because neither
    version was expected to be the better one. Without rows, "p" and "gain" are None.
    """
    n = len(rows)
    item_scores = np.array(
        [[item_score(config, row.label, predicted) for predicted in (row.one, row.other)] for row in rows]
    ).reshape(n, 2)  # an empty array has one dimension
    metric = "accuracy" if np.isin(item_scores, (0.0, 1.0)).all() else "score"
    differences = item_scores[:, 1] - item_scores[:, 0]
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    # A fixed seed: the same rows give the same intervals.
    both = [
        Accuracy.of_item_scores(item_scores[:, side], metric, np.random.default_rng(0)).as_json() for side in (0, 1)
    ]
    found: dict[str, Any] = {
        "holdout": n,
        "metric": metric,
        "accuracy_a": both[0],
        "accuracy_b": both[1],
        "better": better,
        "worse": worse,
        "differ": sum(not same(config, row.one, row.other) for row in rows),
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
