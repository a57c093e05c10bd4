"""Report of a loop's progress: what more answers would bring, and whether the field's criteria say stop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, isfinite
from uuid import UUID

import numpy as np
import numpy.typing as npt

from backend.report.estimates import progress_words as words
from backend.report.parts import Report, as_json, named
from labelloop.answers.item_scores import item_score
from labelloop.answers.measures import metric_of
from labelloop.errors import UsageError
from labelloop.gate import Accuracy
from labelloop.labeling.config import LabelingConfig
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.questions import guidance
from labelloop.store.questions import loops as loop_questions
from labelloop.store.questions import versions as questions
from labelloop.store.tables import descriptions, loops
from labelloop.store.tables import versions as version_store
from labelloop.versions import progress, stopping
from labelloop.versions.version import JudgedVersion, short

MOST_VERSIONS = 40
"""Versions that are read; of more, some between the first and the newest are left out."""
MOST_HELD_OUT = 2_000
AHEAD = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
"""Training sizes of the forecast, as multiples of the largest version's."""
GAINS = (0.01, 0.02, 0.04)
"""Gains over the newest version for which the report says how many more answers they take."""
Labels = Mapping[UUID, tuple[str, str | None]]
"""By output: the answer, and the label that a version predicted."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A version with what it predicted for held-out outputs."""

    version: JudgedVersion
    labels: Labels
    item_scores: npt.NDArray[np.float64]
    """Shape (held-out outputs of all versions,), NaN where it was not judged."""


def progress_report(conn: Conn, loop: str) -> Report:
    """Return the learning curve of a loop, its continuation, and the stopping criteria.

    The "metric" is "accuracy", or "score" for the mean item score of structured answers. Its "versions" come oldest
    first, and "other_learners" counts those that another learner made. A "reason" says why no trend was measured, or is
    None. The curve is "trend", "forecast" and "goals", and its price is "seconds_per_answer" and
    "answers_per_training_answer". The criteria are in "stopping". The "sentences" say all of it in words, and the
    first one is the "headline".

    Shares are 0 to 1. The forecast and the goals are empty without a trend that could be continued. Nothing is trained
    for it. Raises UsageError if there is no such loop.
    """
    names = loops.names(conn, archived=True)
    spec = loops.get(conn, loop) if loop in names else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    report = {"loop": loop, **_measured(conn, spec)}
    sentences = list(words.sentences(report))
    return as_json({**report, "headline": sentences[0], "sentences": sentences}, descriptions.newest(conn, loop))


def progress_headline(conn: Conn, spec: LoopSpec) -> str:
    """Return the report's first sentence."""
    return next(iter(words.sentences(_measured(conn, spec))))


def _measured(conn: Conn, spec: LoopSpec) -> Report:
    known = [row for row in reversed(version_store.list_(conn, spec.name)) if row.scores]
    same = [row for row in known if row.learner == known[-1].learner]
    judged = _judged(conn, spec, _some(same))
    used = [one for one in judged if progress.judged_enough(one.item_scores[None])[0]]
    sizes, item_scores = [one.version.trained_on for one in used], np.array([one.item_scores for one in used])
    reason = progress.reason_for_none(sizes)
    found: Report = {
        "metric": metric_of(spec.config.answer),
        "versions": [_line(spec.config, one, one in used) for one in judged],
        "other_learners": len(known) - len(same),
        "reason": reason,
        "trend": None,
        "forecast": [],
        "goals": [],
        **_price(conn, spec.name, same),
        "stopping": _stopping(conn, spec, judged),
    }
    if reason is not None:
        return found
    trend = progress.trend(sizes, item_scores)
    found["trend"] = {
        "direction": "rises" if trend.rises else "falls" if trend.falls else "unclear",
        **{name: getattr(trend, name) for name in ("smallest", "largest", "gain", "low", "high", "findable")},
    }
    if trend.falls:
        return found
    # A fixed seed: the same versions give the same report.
    curve = progress.curve(sizes, item_scores, np.random.default_rng(0))
    found["forecast"] = [_at(curve, ahead) for ahead in AHEAD]
    if trend.rises:
        found["goals"] = list(_goals(curve, found))
    return found


def _some(versions: Sequence[JudgedVersion]) -> list[JudgedVersion]:
    """Return at most MOST_VERSIONS of them: the newest few, and others at equal distances."""
    if len(versions) <= MOST_VERSIONS:
        return list(versions)
    newest = stopping.WINDOW + 1
    places = np.linspace(0, len(versions) - newest - 1, MOST_VERSIONS - newest).round().astype(int)
    return [*(versions[place] for place in places), *versions[-newest:]]


def _judged(conn: Conn, spec: LoopSpec, versions: Sequence[JudgedVersion]) -> list[_Judged]:
    labels: dict[str, dict[UUID, tuple[str, str | None]]] = {row.id: {} for row in versions}
    for row in questions.held_out_predictions(conn, spec.name, list(labels), MOST_HELD_OUT):
        labels[row.version][row.output_id] = row.label, row.predicted
    place = {id_: i for i, id_ in enumerate(sorted({id_ for each in labels.values() for id_ in each}))}
    found = []
    for version in versions:
        scores = np.full(len(place), np.nan)
        for id_, (answer, predicted) in labels[version.id].items():
            scores[place[id_]] = item_score(spec.config, answer, predicted)
        if labels[version.id]:
            found.append(_Judged(version, labels[version.id], scores))
    return found


def _line(config: LabelingConfig, one: _Judged, used: bool) -> Report:
    scores = one.item_scores[~np.isnan(one.item_scores)]
    accuracy = Accuracy.of_item_scores(scores, metric_of(config.answer), np.random.default_rng(0)).as_json()
    return {
        **named(one.version.id),
        "trained_on": one.version.trained_on,
        "held_out": len(scores),
        "at": one.version.created_at,
        "stage": one.version.stage,
        "used": used,
        **{key: accuracy.get(key) for key in ("accuracy", "low", "high")},
    }


def _price(conn: Conn, loop: str, versions: Sequence[JudgedVersion]) -> Report:
    """Return the median seconds of an answer, and how many answers people give for one that trains."""
    answers, largest = guidance.progress(conn, loop).answers, max((row.trained_on for row in versions), default=0)
    return {
        "seconds_per_answer": loop_questions.response_times(conn, loop).person_median_s,
        "answers_per_training_answer": max(1.0, answers / largest) if largest else None,
    }


def _stopping(conn: Conn, spec: LoopSpec, judged: Sequence[_Judged]) -> list[Report]:
    steps = [
        [(one.labels[id_][1], other.labels[id_][1]) for id_ in sorted(one.labels.keys() & other.labels.keys())]
        for one, other in pairwise(judged)
    ]
    ranker = version_store.ranker(conn, spec.name)
    waits = questions.uncertainty_of_waiting(conn, spec.name, None if ranker is None else short(ranker))
    found = stopping.criteria(steps, waits.uncertainty, waits.outputs)
    return [_criterion(spec, one, ranker is None, waits.waiting) for one in found]


def _criterion(spec: LoopSpec, one: stopping.Criterion, untrained: bool, waiting: int) -> Report:
    if one.stops is None:
        of = f"the {waiting:,} waiting outputs of the rule lane"
        ranked = f"the newest version has ranked {one.items:,} of {of}"
        if untrained:
            ranked = f"no version has been trained, so none has ranked {of}"
        words = f"cannot be computed: {ranked}; at least {stopping.FEWEST} are needed"
        if one.name != stopping.UNCERTAIN:
            words = f"cannot be computed: it needs {one.versions} versions judged by {stopping.FEWEST} common answers"
    else:
        side = "at or above" if one.above else "at or below"
        words = f"{one.value:.3g} on {one.items:,} items; it says stop {side} {one.threshold:g}: " + (
            "stop" if one.stops else "go on"
        )
    if one.name == stopping.UNCERTAIN and spec.queue.strategy != "entropy":
        words += f" (it was made for entropy; this loop's measure is {spec.queue.strategy})"
    kept = ("name", "value", "threshold", "above", "items", "source", "stops")
    return {**{name: getattr(one, name) for name in kept}, "words": words}


def _at(curve: progress.Curve, ahead: float) -> Report:
    size = round(ahead * curve.trend.largest)
    value, low, high = curve.at(size)
    return {"trained_on": size, "more": size - curve.trend.largest, "accuracy": value, "low": low, "high": high}


def _goals(curve: progress.Curve, report: Report) -> Iterable[Report]:
    """Yield what more points would take, up to the first that the curve does not reach within its limit."""
    now = curve.at(curve.trend.largest)[0]
    for gain in GAINS:
        if now + gain >= 1:
            return
        middle, low, high = curve.needed(gain)
        more = [
            None if not isfinite(size) else max(1, ceil(size - curve.trend.largest)) for size in (middle, low, high)
        ]
        seconds, each = report["seconds_per_answer"], report["answers_per_training_answer"]
        hours = None if more[0] is None or seconds is None else more[0] * each * seconds / 3600
        yield {
            "gain": gain,
            "accuracy": now + gain,
            "more": more[0],
            "more_low": more[1],
            "more_high": more[2],
            "hours": hours,
        }
        if more[0] is None:
            return
