"""Predictions of the champion and the challenger for the held-out items of a run, with the time that they take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from backend import models
from backend.learners import Learner
from backend.train.cut import readable
from labelloop.labeling.controls import ControlTag
from labelloop.spec.learners import facts_of
from labelloop.store.tables import run_items
from labelloop.versions.items import AnsweredItem, ItemToLabel
from labelloop.versions.runs import RetrainRun

TIMED_PASSES = 3
"""How many times a model predicts the hold-out set to measure its speed; fewer if TIMED_S is used up before."""
TIMED_S = 0.25
"""Seconds of prediction after which no further pass is timed."""


def predictions_of_both(
    models_dir: Path | None,
    run: RetrainRun,
    learner: Learner,
    version_id: str,
    judged: Sequence[AnsweredItem | ItemToLabel],
    control: ControlTag,
) -> tuple[run_items.Verdicts, run_items.Verdicts, dict[str, float | None]]:
    """Return the champion's and the challenger's predictions for the held-out items, and their milliseconds an item.

    Labels that a version knew under a former name are those of today, by the `control` with the answer.
    """
    challenger, challenger_ms = _timed_predictions(learner, judged)
    champion: run_items.Verdicts
    champion_ms = None
    if run.champion_id is None:
        champion = [(row.pipeline_label, row.pipeline_confidence) for row in judged]
    elif run.champion_id == version_id:  # predicted once: its answers may cost money
        champion, champion_ms = challenger, challenger_ms
    else:
        champion, champion_ms = _timed_predictions(models.load(models_dir, run.champion_id), judged)
    champion, challenger = ([(control.today(label), share) for label, share in side] for side in (champion, challenger))
    return champion, challenger, {"champion_ms": champion_ms, "challenger_ms": challenger_ms}


def _timed_predictions(
    learner: Learner, rows: Sequence[AnsweredItem | ItemToLabel]
) -> tuple[run_items.Verdicts, float | None]:
    """Return the learner's label and confidence for each row, and the milliseconds an item.

    Both are None for a row that it cannot read; the gate counts such a row as incorrect.
    """
    good, _ = readable(learner, list(rows))
    data = [row.data for row in good]
    taken = []
    for _ in range(TIMED_PASSES):  # the fastest pass counts: other work on the machine only slows a pass down
        began = time.perf_counter()
        predicted = learner.predict(data)
        taken.append(time.perf_counter() - began)
        if sum(taken) > TIMED_S or facts_of(learner.name).is_frozen:  # each answer of a frozen model may cost money
            break
    pairs = zip(predicted.labels, predicted.confidences.tolist(), strict=True)
    found = {row.output_id: pair for row, pair in zip(good, pairs, strict=True)}
    verdicts = [found.get(row.output_id, (None, None)) for row in rows]
    return verdicts, 1000 * min(taken) / len(good) if good else None
