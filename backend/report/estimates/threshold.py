"""The report about what may pass unseen, the promise about it, and the answers that are missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backend.report.estimates.threshold_words import sentences
from backend.report.parts import Report, as_json
from backend.train.certify import Look, Part, look_at
from labelloop.errors import UnknownValue, UsageError
from labelloop.gate import accept as gate
from labelloop.gate import looks
from labelloop.labeling.controls import Kind
from labelloop.selection import design_effect
from labelloop.spec.accept import ALL, Accept
from labelloop.store.database import Conn
from labelloop.store.promises import certificates, scored
from labelloop.store.promises.certificates import Certificate, Counted
from labelloop.store.tables import loops

EXAMPLE = Accept(error=0.05)
"""The promise that is shown for a loop that makes none."""
BAND = 0.95
"""Confidence of the band around the curve."""
POINTS = 20
"""Number of points of a curve."""
MOST_PAST = 20
"""Number of ended certificates that are listed."""


def threshold_report(conn: Conn, loop: str, by: str | None = None) -> Report:
    """Return what may pass unseen in a loop and why. `by`: "label" for a curve of each label too. Writes nothing.

    Keys: "promise" (error, confidence, by, and "is_set" if loop.yaml has it), "labeller", "answers", "look" and
    "next_look" (numbers of answers), "certificate" (None without one), "curves", "needed", "past" and "sentences".
    About the test: "place" (its number in the loop's life), "part" (of the chance of error that it may use, 0 to 1) and
    "begun" (whether its confidences are fixed). Only outputs that came in after "since" count;
    "since" is None if all count.

    Each of "curves" has "label" (None for all), "points" (threshold, share of the outputs at or above it, answers,
    incorrect, error, low, high), "threshold" (certified) and "possible". The first and the last confidence to test
    are "begins_at" and "ends_at"; "above" has share, answers and incorrect ones at or above the first. After "missing"
    more answers the test probably succeeds, at the look "likely_at", for the error rate "likely_rate".

    Each of "needed" has "truth" (error rate), "answers" and "own_test", both if all answers are above the threshold.
    Here "answers" is for one look with all of the chance of error, and "own_test" for the looks of this loop's test.

    If there is a curve of each label, "by" is "label"; "can_be_by" lists what `by` takes.
    Raises UsageError if there is no such loop, and UnknownValue if it has no such curves.
    """
    spec = loops.get(conn, loop) if loop in loops.names(conn, archived=True) else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(loops.names(conn, archived=True)) or 'none'}")
    if by not in (None, "label"):
        raise UnknownValue(f"there are no curves by {by!r}; there are curves by: label")
    kind = spec.config.kind
    has_curves = kind is Kind.LABEL and bool(spec.labels)
    if by == "label" and not has_curves:
        what = "a free text" if kind is Kind.LABEL else kind.words
        raise UnknownValue(f"no curve of each label: the answer of loop {loop!r} is {what}")
    promise = spec.accept or EXAMPLE
    with_promise = spec.model_copy(update={"accept": promise})
    who = scored.labeller(conn, loop)
    usable = who is not None and bool(who.version)
    assert who is not None or not usable
    found = look_at(conn, with_promise, who) if who is not None and usable else Look(who, None)
    parts = dict(found.parts)
    if by == "label" and not promise.by and who is not None and usable:
        by_label = with_promise.model_copy(update={"accept": promise.model_copy(update={"by": "label"})})
        parts |= look_at(conn, by_label, who).parts
    now = certificates.in_force(conn, loop) if spec.accept is not None else None
    counts = certificates.counts(conn, loop)
    report: Report = {
        "loop": loop,
        "promise": {**promise.model_dump(), "is_set": spec.accept is not None},
        "by": by or promise.by,
        "can_be_by": ["label"] if has_curves else [],
        "labeller": None if who is None else {"kind": who.kind, "version": who.version, "words": who.words},
        "answers": found.answers,
        "look": found.look,
        "next_look": next((size for size in looks.SIZES if size > found.answers), None),
        "place": found.number,
        "part": looks.of_model(found.number),
        "begun": found.test is not None,
        "since": found.since,
        "certificate": None if now is None else _certificate(now, counts.get(now.id)),
        "curves": [_curve(label, part, promise.error) for label, part in parts.items()],
        "needed": _needed(promise, found),
        "past": [
            _certificate(one, counts.get(one.id))
            for one in certificates.list_(conn, loop, MOST_PAST + 1)
            if one.ended_at is not None
        ][:MOST_PAST],
    }
    bare = scored.without_confidence(conn, loop, who.version) if who is not None and who.kind == "pipeline" else (0, 0)
    return as_json({**report, "sentences": list(sentences(spec, report, who, bare))})


def _certificate(one: Certificate, counted: Counted | None) -> Report:
    n = {"accepted": 0, "revoked_outputs": 0, "corrected": 0}
    if counted is not None:
        n = {"accepted": counted.accepted, "revoked_outputs": counted.revoked, "corrected": counted.corrected}
    return {**certificates.as_json(one), "name": str(one.id)[:8], "of": one.of.words, **n}


def _curve(label: str, part: Part, error: float) -> Report:
    missing = None if part.found.threshold is not None else gate.missing(
        part.answers, part.row, part.scores, error, part.alpha
    )  # fmt: skip
    begins_at = part.row[0] if part.row else None
    above = None
    if begins_at is not None:
        among = part.answers.confidence >= begins_at
        above = {
            "share": float((part.scores >= begins_at).mean()) if len(part.scores) else None,
            "answers": int(among.sum()),
            "incorrect": float(part.answers.loss[among].sum()),
        }
    share = None
    if part.found.threshold is not None and len(part.scores):
        share = float((part.scores >= part.found.threshold).mean())
    return {
        "label": None if label == ALL else label,
        "points": list(_points(part)),
        "threshold": part.found.threshold,
        "share": share,
        "missing": missing,
        "possible": part.found.threshold is not None or missing is not None,
        "begins_at": begins_at,
        "ends_at": part.row[-1] if part.row else None,
        "above": above,
        "likely_at": None if missing is None else len(part.answers) + missing,
        "likely_rate": None
        if missing is None or begins_at is None
        else gate.likely_rate(part.answers, begins_at, part.scores, error),
    }


def _points(part: Part) -> Iterator[Report]:
    """Yield a point for each twentieth of the outputs, from the most confident ones to all."""
    ordered = np.sort(part.scores)[::-1]
    seen: set[float] = set()
    for i in range(1, POINTS + 1):
        if not len(ordered):
            return
        threshold = float(ordered[max(1, round(i * len(ordered) / POINTS)) - 1])
        if threshold in seen:
            continue
        seen.add(threshold)
        above = part.answers.confidence >= threshold
        n, wrong = int(above.sum()), float(part.answers.loss[above].sum())
        effect = design_effect.of_groups(part.answers.loss[above], part.answers.group[above])
        low, high = gate.interval(wrong / effect, n / effect, BAND)
        yield {
            "threshold": threshold,
            "share": float((part.scores >= threshold).mean()),
            "answers": n,
            "incorrect": wrong,
            "error": wrong / n if n else None,
            "low": low if n else None,
            "high": high if n else None,
        }


def _needed(promise: Accept, found: Look) -> list[Report]:
    """Return how many answers above the threshold certify the promise, by the true error rate there."""
    chance = 1.0 - promise.confidence
    own = next((part.alpha for part in found.parts.values()), chance * looks.of_model(found.number))
    return [
        {
            "truth": truth,
            "answers": gate.needed(truth, promise.error, chance),
            "own_test": gate.needed_in_looks(truth, promise.error, own),
        }
        for truth in (0.0, promise.error / 4, promise.error / 2, promise.error * 3 / 4)
    ]
