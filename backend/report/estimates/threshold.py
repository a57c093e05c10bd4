"""The report about what may pass unseen, the promise about it, and the answers that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from backend.report.parts import Report, as_json
from backend.report.words import percent
from backend.train.certify import UNNAMED, Look, Part, look_at
from labelloop.errors import UsageError
from labelloop.gate import accept as gate
from labelloop.gate import looks
from labelloop.spec.accept import Accept
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.promises import certificates, scored
from labelloop.store.promises.certificates import Certificate, Counted
from labelloop.store.promises.trials import ALL, Labeller
from labelloop.store.tables import loops

EXAMPLE = Accept(error=0.05)
"""The promise that is shown for a loop that makes none."""
BAND = 0.95
"""Confidence of the band around the curve."""
POINTS = 20
"""Number of points of a curve."""
MOST_PAST = 20
"""Number of ended certificates that are listed."""
NO_ACCEPT = (
    "loop.yaml has no `accept`: what neither the trigger nor chance sends passes, without any promise. Below is what "
    "`accept: {error: 0.05}` would do."
)


def threshold_report(conn: Conn, loop: str, by: str | None = None) -> Report:
    """Return what may pass unseen in a loop and why. `by`: "label" for a curve of each label too. Writes nothing.

    Keys: "promise" (error, confidence, by; "is_set" if loop.yaml has it), "labeller", "answers", "look" and "next_look"
    (numbers of answers), "certificate" (None without one), "curves", "needed", "past" and "sentences".

    Each of "curves" has "label" (None for all), "points" (threshold, share of the outputs at or above it, answers,
    incorrect, error, low, high), "threshold" (certified), "missing" and "possible". Raises UsageError if there is no
    such loop.
    """
    spec = loops.get(conn, loop) if loop in loops.names(conn, archived=True) else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(loops.names(conn, archived=True)) or 'none'}")
    if by == "label" and not spec.labels:
        raise UsageError(f"--by-label: the answer of loop {loop!r} is {spec.config.kind.words}, not one label")
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
        "labeller": None if who is None else {"kind": who.kind, "version": who.version, "words": who.words},
        "answers": found.answers,
        "look": found.look,
        "next_look": next((size for size in looks.SIZES if size > found.answers), None),
        "place": found.number,
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
    return as_json({**report, "sentences": list(_sentences(spec, report, who, bare))})


def _certificate(one: Certificate, counted: Counted | None) -> Report:
    n = {"accepted": 0, "revoked_outputs": 0, "corrected": 0}
    if counted is not None:
        n = {"accepted": counted.accepted, "revoked_outputs": counted.revoked, "corrected": counted.corrected}
    return {**certificates.as_json(one), "name": str(one.id)[:8], "of": one.of.words, **n}


def _curve(label: str, part: Part, error: float) -> Report:
    missing = None if part.found.threshold is not None else gate.missing(
        part.answers, part.row, part.scores, error, part.alpha
    )  # fmt: skip
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
        "begins_at": part.row[0] if part.row else None,
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
        effect = gate.design_effect(part.answers.loss[above], part.answers.group[above])
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
    alpha = found.alpha or (1.0 - promise.confidence) * looks.of_model(1)
    return [
        {"truth": truth, "answers": gate.needed(truth, promise.error, alpha)}
        for truth in (0.0, promise.error / 4, promise.error / 2, promise.error * 3 / 4)
    ]


def _sentences(spec: LoopSpec, report: Report, who: Labeller | None, bare: tuple[int, int]) -> Iterator[str]:
    promise, now = report["promise"], report["certificate"]
    if not promise["is_set"]:
        yield NO_ACCEPT
    yield _promise(promise)
    if now is not None:
        yield _in_force(now)
        yield from _shares(report)
        yield from _next(report)
        return
    if promise["is_set"]:
        yield "No certificate is in force: nothing passes unseen, and everything goes to people."
    if who is None:
        yield "No output has come in yet."
        return
    if not who.version:
        yield f"There cannot be one: {UNNAMED}."
        return
    if bare[0]:
        yield (
            f"{bare[0]:,} of the newest {bare[1]:,} outputs have no label or no confidence. These always go to people."
        )
    if promise["is_set"] and report["past"]:
        last = report["past"][0]
        yield f"The last one, {last['name']}, ended: {last['ended_because']}."
    lanes = " and ".join(
        name for name, share in (("hold-out", spec.holdout), ("audit", spec.audit)) if share
    ) or "hold-out or audit (set one of them above 0)"  # fmt: skip
    yield (
        f"{report['answers']:,} answers count. They are about outputs of {who.words} that the trigger does not send "
        f"and that chance chose (lanes {lanes})."
    )
    yield from _missing(report)


def _promise(promise: Mapping[str, Any]) -> str:
    each = "for each label on its own" if promise["by"] else "for all labels together, and not for each label"
    return (
        f"The promise: of what passes unseen at most {100 * promise['error']:g} % is incorrect, {each}. It holds with "
        f"a probability of {100 * promise['confidence']:g} % over the life of the loop."
    )


def _in_force(now: Mapping[str, Any]) -> str:
    limits = ", ".join(
        f"{100 * threshold:.2f} %" + ("" if label == ALL else f" for {label}")
        for label, threshold in now["thresholds"].items()
    )
    return (
        f"Certificate {now['name']} is in force since {now['made_at']:%Y-%m-%d %H:%M} UTC, for {now['of']}: an output "
        f"passes unseen if its confidence is at least {limits}, unless the trigger or chance sends it to people. It "
        f"rests on {now['answers']:,} answers, and {now['accepted']:,} outputs have passed."
    )


def _shares(report: Report) -> Iterator[str]:
    for curve in report["curves"]:
        if curve["share"] is not None:
            of = "outputs" if curve["label"] is None else f"outputs labelled {curve['label']}"
            yield f"{percent(curve['share'])} of the {of} that the trigger does not send are at or above the threshold."
        elif curve["label"] is not None and report["promise"]["by"]:
            yield f"Nothing labelled {curve['label']} passes. {_lack(curve, report)}"


def _next(report: Report) -> Iterator[str]:
    if report["next_look"]:
        more = report["next_look"] - report["answers"]
        yield f"The next look comes after {more:,} more answers, at {report['next_look']:,}. It may let more pass."


def _missing(report: Report) -> Iterator[str]:
    for curve in report["curves"]:
        if curve["label"] is not None and not report["promise"]["by"]:
            continue
        if curve["threshold"] is not None:
            yield "The answers support a certificate now: the worker makes it at its next check, if nothing drifts."
        else:
            of = "" if curve["label"] is None else f"Label {curve['label']}: "
            yield of + _lack(curve, report)


def _lack(curve: Mapping[str, Any], report: Report) -> str:
    if curve["missing"]:
        return f"About {curve['missing']:,} more answers that chance chooses are needed."
    if not curve["points"]:
        return f"At least {looks.SIZES[0]} answers that chance chose are needed; no output with a confidence came in."
    return (
        f"More answers alone will not do: above {100 * curve['begins_at']:.2f} % confidence about as many labels are "
        f"incorrect as the promise allows, or more. A better or better calibrated model is needed, or a promise of "
        f"more than {100 * report['promise']['error']:g} %."
    )
