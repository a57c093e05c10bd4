"""Days: what came in, what was answered, how accurate and how fast, day by day in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from labelloop.gate import Accuracy
from labelloop.store.database import Conn
from labelloop.store.questions import days as store

DAYS = 60
"""As many are shown, today included: what a page reads must not grow with the age of a loop."""


def days(conn: Conn, loop: str, now: datetime) -> list[dict[str, Any]]:
    """A row a day with data, the oldest first: {"day", "outputs", "for_people", "answers", "held_out", "correct",
    "accuracy", "low", "high", "task_median_s", "person_median_s", "person_p90_s"}.

    A day without any has no row, and what a row has no data of is null: never 0. The accuracy is that of the labels
    that people were shown, on the held-out outputs answered that day, with its Wilson 95 % interval.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=DAYS - 1)
    found: dict[Any, dict[str, Any]] = {}
    for part in (store.intake, store.answers, store.person_seconds):
        for row in part(conn, loop, since):
            found.setdefault(row.pop("day"), {}).update(row)
    return [_row(day.isoformat(), found[day]) for day in sorted(found)]


def _row(day: str, found: dict[str, Any]) -> dict[str, Any]:
    counts = {name: found.get(name) or None for name in ("outputs", "for_people", "answers", "held_out")}
    measured = Accuracy.of(found.get("correct", 0), found.get("held_out", 0))
    times = {name: found.get(name) for name in ("task_median_s", "person_median_s", "person_p90_s")}
    correct = measured.correct if measured.n else None
    share = {"correct": correct, "accuracy": measured.accuracy, "low": measured.low, "high": measured.high}
    return {"day": day, **counts, **share, **times}
