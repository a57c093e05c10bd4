"""Judge: whether the verdicts of a loop's outputs may be believed, as numbers and in sentences."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from backend.report.estimates.judge_words import headline, sentences, why
from backend.report.parts import Report
from labelloop.answers.judge import Compared, Outputs, Share, at_looks, judged
from labelloop.errors import UnknownValue, UsageError
from labelloop.gate.judge_looks import SIZES, OfClass, Seen, examine
from labelloop.queue.blind import form_sha256, share
from labelloop.queue.lanes import Lane
from labelloop.spec.judge import JudgeSpec
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.estimates import judges
from labelloop.store.estimates.judges import Answered, Verdicts
from labelloop.store.tables import loops

SEED = 0
"""Seed of the draws for the interval of kappa: the same answers give the same report."""


def judge_report(conn: Conn, loop: str, model_version: str | None = None) -> Report:
    """Return the report about the judge of a loop. `model_version`: that of the newest output if it is None.

    Keys: those of `judge_standing`, and "kappa", "base_rate", "agreement", "apparent", "corrected", "needed", "others",
    "left_out", and "sentences", which say all of it.

    Rates are 0 to 1 with a 95 % interval "low" to "high", and a one-sided 95 % "bound"; both are those of one look. The
    certificate holds over all looks: "looks" has an OfClass of labelloop/gate/judge_looks.py for "positive" and for
    "negative". A figure that cannot be estimated is None. Raises UsageError if there is no such loop, or if its
    loop.yaml names no judge, and UnknownValue if no output is of this version.
    """
    spec = loops.get(conn, loop) if loop in loops.names(conn, archived=True) else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(loops.names(conn, archived=True)) or 'none'}")
    if spec.judge is None:
        example = json.dumps(spec.labels[0] if spec.labels else "pass", ensure_ascii=False)  # YAML reads 1 as a number
        raise UsageError(
            f"loop {loop} has no judge. If its outputs are a judge's verdicts, add `judge: {{positive: {example}}}` to "
            "its loop.yaml and run `labelloop migrate`"
        )
    known = _gather(conn, spec, spec.judge, model_version)
    standing = _standing(spec, spec.judge, known)
    found = judged(*known.of(*known.now), np.random.default_rng(SEED))
    report: Report = {
        **standing,
        "answers": found.agreement.answers,
        **asdict(found),
        "needed": _needed(standing["looks"], found.base_rate),
        "waiting": judges.waiting(conn, loop, known.now[0]),
        "left_out": asdict(judges.left_out(conn, loop)),
    }
    return {**report, "sentences": list(sentences(report))}


def judge_standing(conn: Conn, spec: LoopSpec) -> Report | None:
    """Return whether the judge of a loop is certified, without the figures that take long; None if it has none.

    Keys: "status" (certified, stale, not certified), "why", "positive", "floor", "judge" (the version), "form", "tpr",
    "tnr", "looks" and "others" as in `judge_report`, and "headline", its first sentence.
    """
    if spec.judge is None:
        return None
    standing = _standing(spec, spec.judge, _gather(conn, spec, spec.judge, None))
    return {**standing, "headline": headline(standing)}


@dataclass(frozen=True, slots=True)
class _Known:
    said: Sequence[Verdicts]
    evidence: Mapping[tuple[str, bytes], Sequence[Answered]]
    """Answers in their order, by the judge's version and the form that people read."""
    now: tuple[str, bytes]
    """The version and the form that the report is about."""

    def of(self, version: str, form: bytes) -> tuple[list[Compared], dict[bool, Outputs]]:
        """Return the answers about a version with a form, and the version's outputs by stratum."""
        rows = self.evidence.get((version, form), ())
        outputs = {row.triggered: Outputs(row.n, row.positive) for row in self.said if row.model_version == version}
        return [Compared(row.triggered, row.group_key, row.judge, row.people, row.output_id) for row in rows], outputs


def _gather(conn: Conn, spec: LoopSpec, judge: JudgeSpec, model_version: str | None) -> _Known:
    said = judges.verdicts(conn, spec.name, judge.positive)
    known = [row.model_version for row in said]
    if model_version is not None and model_version not in known:
        named = ", ".join(repr(one) for one in dict.fromkeys(known)) or "none"
        raise UnknownValue(f"no output of loop {spec.name} is of the version {model_version!r}; there are: {named}")
    current = model_version if model_version is not None else known[0] if known else ""
    evidence: dict[tuple[str, bytes], list[Answered]] = defaultdict(list)
    for row in judges.answered(conn, spec.name, judge.positive):
        evidence[row.model_version, row.form_sha256].append(row)
    return _Known(said, evidence, (current, form_sha256(spec)))


def _standing(spec: LoopSpec, judge: JudgeSpec, known: _Known) -> Report:
    current, form = known.now
    rates = at_looks(*known.of(current, form), SIZES)
    looks = _of_classes(rates, judge.floor)
    others = _others(known, judge.floor)
    certified = bool(current) and all(one.certified for one in looks.values())
    was = bool(current) and all(one.passed_at is not None for one in looks.values())
    earlier = [one for one in others if one["certified"]]
    report: Report = {
        "loop": spec.name,
        "status": "certified" if certified else "stale" if earlier or was else "not certified",
        "positive": judge.positive,
        "negative": [label for label in spec.labels if label != judge.positive],
        "other": _other(judge.positive, spec.labels),
        "floor": judge.floor,
        "judge": current or None,
        "form": form.hex()[:12],
        "outputs": sum(row.n for row in known.said if row.model_version == current),
        "tpr": asdict(rates["tpr"][-1]),
        "tnr": asdict(rates["tnr"][-1]),
        "looks": {name: asdict(one) for name, one in looks.items()},
        "blind_share": share(spec, Lane.HOLDOUT),
        "others": others,
    }
    return {**report, "why": list(why(report, earlier))}


def _others(known: _Known, floor: float) -> list[Report]:
    """Return what the answers to other versions of the judge, or with another form, said; the newest first."""
    found = []
    for (version, form), rows in known.evidence.items():
        if (version, form) != known.now:
            looks = of_classes(*known.of(version, form), floor)
            found.append(
                {
                    "judge": version or None,
                    "form": form.hex()[:12],
                    "answers": sum(one.answers for one in looks.values()),
                    "newest": max(row.resolved_at for row in rows),
                    "certified": bool(version) and all(one.certified for one in looks.values()),
                }
            )
    return sorted(found, key=lambda one: str(one["newest"]), reverse=True)


def of_classes(rows: Sequence[Compared], outputs: Mapping[bool, Outputs], floor: float) -> dict[str, OfClass]:
    """Return what the looks say of the "positive" and of the "negative" class.

    `rows` are in the order of the answers.
    """
    return _of_classes(at_looks(rows, outputs, SIZES), floor)


def _of_classes(rates: Mapping[str, Sequence[Share]], floor: float) -> dict[str, OfClass]:
    found = {}
    for name, rate in (("positive", "tpr"), ("negative", "tnr")):
        *looks, now = (_seen(share) for share in rates[rate])
        found[name] = examine(looks, now, floor)
    return found


def _seen(share: Share) -> Seen:
    return Seen(share.answers, share.cautious, share.value or 0.0)


def _needed(looks: Mapping[str, Report], base: Share) -> Report:
    """Return how many more answers of each class a certificate needs, and about how many outputs to answer for them.

    A number is None if no number of answers is likely to give the certificate.
    """
    rate = ((base.value or 0.0) * base.answers + 1.0) / (base.answers + 2.0)
    parts = {"positive": rate, "negative": 1.0 - rate}
    more = {name: looks[name]["needed"] for name in parts}
    each = [n / parts[name] for name, n in more.items() if n is not None]
    return {**more, "outputs": round(max(each)) if len(each) == len(parts) else None}


def _other(positive: str, labels: Sequence[str]) -> str:
    """Return what to call all labels but the positive one."""
    others = [label for label in labels if label != positive]
    return others[0] if len(others) == 1 else f"not {positive}"
