"""Judge again: a run that trains nothing, and whose verdict is about the version of an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend import models
from backend.decide.again import Judging
from backend.train.predicting import predictions_of_both
from backend.train.retrying import retrying
from labelloop.labeling.controls import ControlTag
from labelloop.store.database import Database
from labelloop.store.tables import run_items
from labelloop.versions.items import AnsweredItem
from labelloop.versions.runs import RetrainRun


def judge_again(
    database: Database,
    models_dir: Path | None,
    run: RetrainRun,
    version: Judging,
    judged: list[AnsweredItem],
    notes: list[str],
    control: ControlTag,
) -> dict[str, Any]:
    """Store what both models predict for the held-out answers. Return the same as `train`; only the verdict is new.

    `control`: the one with the answer, whose labels of today count.
    """

    def write() -> None:
        with database.transaction() as conn:
            run_items.clear(conn, run.id)
            run_items.copy_training_set(conn, run.id, version.run_id)
            run_items.write(conn, run.id, judged)

    retrying(write)
    learner = models.load(models_dir, version.version_id)
    incumbent, challenger, speed = predictions_of_both(models_dir, run, learner, version.version_id, judged, control)

    def keep() -> None:
        with database.transaction() as conn:
            run_items.write_verdicts(conn, run.id, [row.output_id for row in judged], incumbent, challenger)

    retrying(keep)
    return {
        "version": version.version_id,
        "trained_on": version.trained_on,
        "notes": notes,
        "speed": speed,
        "identity": version.identity,
        "answers_upto": version.answers_upto,
    }
