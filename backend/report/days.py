"""Days: what came in, what was answered, how accurate and how fast, day by day in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from labelloop.answers.item_scores import item_score
from labelloop.answers.measures import metric_of
from labelloop.gate import Accuracy
from labelloop.labeling.config import LabelingConfig
from labelloop.store.database import Conn
from labelloop.store.questions import days as questions
from labelloop.store.questions.days import AnswersDay, IntakeDay, PersonSecondsDay

DAYS = 60
"""Days shown, today included. A limit, because the cost of a page must not grow with the age of the loop."""


def days(conn: Conn, loop: str, config: LabelingConfig, now: datetime) -> list[dict[str, Any]]:
    """Return one row for each day with data, oldest first.

    Keys: "day", "outputs", "for_people", "answers", "held_out", "correct", "metric", "accuracy", "low", "high",
    "task_median_s", "person_median_s", "person_p90_s".

    A value without data is None, never 0. The accuracy is that of the labels shown to people, on the held-out outputs
    answered that day, with its 95 % interval from "low" to "high". If "metric" is "score", it is their mean item score.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=DAYS - 1)
    intake = {row.day: row for row in questions.intake(conn, loop, since)}
    answers = {row.day: row for row in questions.answers(conn, loop, since)}
    seconds = {row.day: row for row in questions.person_seconds(conn, loop, since)}
    return [
        _row(config, day, intake.get(day), answers.get(day), seconds.get(day)) for day in sorted({*intake, *answers})
    ]


def _row(
    config: LabelingConfig,
    day: date,
    intake: IntakeDay | None,
    answers: AnswersDay | None,
    seconds: PersonSecondsDay | None,
) -> dict[str, Any]:
    metric = metric_of(config.answer)
    scores = np.array([item_score(config, label, shown) for label, shown in answers.pairs] if answers else [])
    # A fixed seed: the same answers give the same interval.
    measured = Accuracy.of_item_scores(scores, metric, np.random.default_rng(0))
    return {
        "day": day.isoformat(),
        "outputs": intake.outputs or None if intake else None,
        "for_people": intake.for_people or None if intake else None,
        "answers": answers.answers or None if answers else None,
        "held_out": answers.held_out or None if answers else None,
        "correct": measured.correct if measured.n else None,
        "metric": metric,
        "accuracy": measured.accuracy,
        "low": measured.low,
        "high": measured.high,
        "task_median_s": answers.task_median_s if answers else None,
        "person_median_s": seconds.person_median_s if seconds else None,
        "person_p90_s": seconds.person_p90_s if seconds else None,
    }
