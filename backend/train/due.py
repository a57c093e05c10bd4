"""Due runs, which the worker requests by itself: at an interval, on drift, and for a new label."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta

from backend.decide.again import ask_on_more_answers
from backend.train.cut import labels_in
from backend.train.drifted import drifted
from labelloop.errors import Unreachable
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.questions import new_answers
from labelloop.store.tables import jobs, loops, runs
from labelloop.store.tables import versions as version_store

NEW_LABEL_ANSWERS = 5
"""Answers that a new label needs before a run is requested for it."""
DRIFT_ANSWERS = 20
"""New answers that a run on drift needs; with fewer, it could not improve on the drifted outputs."""
logger = logging.getLogger(__name__)


def ask_for_due(database: Database, now: datetime, *, drift: bool = True) -> None:
    """Request the runs that are due at `now`. `drift`: also check for drift, which reads all outputs of the loop.

    A run is due only if there are new answers, since the same answers would give the same version. No run is due if one
    is open, or if the loop's learner never trains.
    """
    with database.transaction() as conn:
        names = loops.names(conn)
    for loop in names:
        try:
            with database.transaction() as conn:
                _ask_if_due(conn, loop, now, drift)
        except Unreachable:
            raise
        except Exception as exc:  # the other loops are still checked
            logger.warning("loop %s: could not check whether a run is due: %s: %s", loop, type(exc).__name__, exc)


def _ask_if_due(conn: Conn, loop: str, now: datetime, drift: bool) -> None:
    spec = loops.get(conn, loop)
    idle = spec is None or not spec.learner.is_trained or runs.open_runs(conn, loop)
    new = 0 if idle else new_answers.count(conn, loop)
    why = None
    if spec is not None and new:
        why = _too_long_ago(conn, spec, new, now) or _unknown_label(conn, spec)
        if why is None and drift and spec.retrain.drift and new >= DRIFT_ANSWERS:
            why = drifted(conn, spec, spec.retrain.drift)
    if why and runs.request(conn, loop, why) is not None:
        logger.info("loop %s: %s: a run is due", loop, why)
        jobs.ask(conn, jobs.RETRAIN, loop)
    elif spec is not None and spec.learner.is_trained and (run_id := ask_on_more_answers(conn, spec)):
        logger.info("loop %s: run %s judges a refused version again, on more answers", loop, run_id)


def _too_long_ago(conn: Conn, spec: LoopSpec, new: int, now: datetime) -> str | None:
    began, every_s = new_answers.counted_since(conn, spec.name), spec.retrain.every_s
    if began is None or every_s is None or now - began < timedelta(seconds=every_s):
        return None
    return f"{spec.retrain.every} since the last run, {new} new answers"


def _unknown_label(conn: Conn, spec: LoopSpec) -> str | None:
    """Return a reason that names the labels which annotators now give and the newest version was not trained on."""
    unknown = _labels_not_trained_on(conn, spec) if spec.retrain.on_new_label else []
    if not unknown:
        return None
    given: Counter[str] = Counter()
    for answer, n in new_answers.count_by_label(conn, spec.name).items():
        given.update(dict.fromkeys(labels_in(spec.config, answer), n))
    news = [f"{label!r}" for label in unknown if given[label] >= NEW_LABEL_ANSWERS]
    if not news:
        return None
    return f"label{'s' if len(news) > 1 else ''} {', '.join(news[:5])}: new to the newest version"


def _labels_not_trained_on(conn: Conn, spec: LoopSpec) -> list[str]:
    """Return the labels of the config that the newest version was not trained on; none if it predicts numbers."""
    newest = version_store.ranker(conn, spec.name)
    if newest is None:
        return []
    classes = next(row.classes for row in version_store.list_(conn, spec.name) if row.id == newest)
    known = {label for one in classes for label in labels_in(spec.config, one)}
    return [label for label in spec.labels if label not in known] if known else []
