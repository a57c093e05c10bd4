"""Judge: whether the verdicts of a loop's outputs may be believed, as numbers and in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from labelloop.answers import judge as judging
from labelloop.answers.judge import Compared, Judged, Outputs
from labelloop.errors import UnknownValue, UsageError
from labelloop.queue.blind import form_sha256, share
from labelloop.queue.lanes import Lane
from labelloop.store.database import Conn
from labelloop.store.estimates import judges
from labelloop.store.estimates.judges import Answered, LeftOut, Verdicts
from labelloop.store.tables import loops

Report = dict[str, Any]
SEED = 0
"""Seed of the draws for the interval of kappa: the same answers give the same report."""
ONE_LOOK = (
    "Plan the number of answers, give them, then look once. A person who looks every few answers until it says "
    "certified lets a judge at the floor through in up to 21 % of cases instead of 5 %. Each `--check` is a look."
)
"""The 21 % are measured by `python -m benchmarks.promises.judge`: 25 looks, one after each 20 answers."""
Evidence = Mapping[tuple[str, bytes], Sequence[Answered]]
"""Answers by the judge's version and the form that people read."""


def judge_report(conn: Conn, loop: str, model_version: str | None = None) -> Report:
    """Return the report about the judge of a loop. `model_version`: that of the newest output if it is None.

    Keys: "status" (certified, stale, not certified), "why", "positive", "floor", "judge" (the version), "form", "tpr",
    "tnr", "kappa", "base_rate", "agreement", "apparent", "corrected", "needed", "others", "left_out", and "sentences",
    which say all of it.

    Rates are 0 to 1 with a 95 % interval "low" to "high", and a one-sided 95 % "bound". A figure that cannot be
    estimated is None. Raises UsageError if there is no such loop, or if its loop.yaml names no judge,
    and UnknownValue if no output is of this version.
    """
    spec = loops.get(conn, loop) if loop in loops.names(conn, archived=True) else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(loops.names(conn, archived=True)) or 'none'}")
    if spec.judge is None:
        example = spec.labels[0] if spec.labels else "pass"
        raise UsageError(
            f"loop {loop} has no judge. If its outputs are a judge's verdicts, add `judge: {{positive: {example}}}` to "
            "its loop.yaml and run `labelloop migrate`"
        )

    # gather
    said = judges.verdicts(conn, loop, spec.judge.positive)
    known = [row.model_version for row in said]
    if model_version is not None and model_version not in known:
        named = ", ".join(repr(one) for one in dict.fromkeys(known)) or "none"
        raise UnknownValue(f"no output of loop {loop} is of the version {model_version!r}; there are: {named}")
    current = model_version if model_version is not None else known[0] if known else ""
    evidence: dict[tuple[str, bytes], list[Answered]] = defaultdict(list)
    for row in judges.answered(conn, loop, spec.judge.positive):
        evidence[row.model_version, row.form_sha256].append(row)

    # decide
    form = form_sha256(spec)
    found = _judged(evidence.get((current, form), ()), said, current)
    others = _others(evidence, said, (current, form), spec.judge.floor)
    certified = bool(current) and found.certified(spec.judge.floor)
    earlier = [one for one in others if one["certified"]]
    report: Report = {
        "loop": loop,
        "status": "certified" if certified else "stale" if earlier else "not certified",
        "positive": spec.judge.positive,
        "negative": [label for label in spec.labels if label != spec.judge.positive],
        "other": _negative(spec.judge.positive, [one for one in spec.labels if one != spec.judge.positive]),
        "floor": spec.judge.floor,
        "judge": current or None,
        "form": form.hex()[:12],
        "outputs": sum(row.n for row in said if row.model_version == current),
        "answers": found.agreement.answers,
        **asdict(found),
        "needed": _needed(found, spec.judge.floor),
        "waiting": judges.waiting(conn, loop, current),
        "blind_share": share(spec, Lane.HOLDOUT),
        "others": others,
        "left_out": asdict(judges.left_out(conn, loop)),
    }
    report["why"] = list(_why(report, earlier))
    return {**report, "sentences": list(_sentences(report))}


def _judged(rows: Sequence[Answered], said: Sequence[Verdicts], version: str) -> Judged:
    outputs = {row.triggered: Outputs(row.n, row.positive) for row in said if row.model_version == version}
    compared = [Compared(row.triggered, row.group_key, row.judge, row.people) for row in rows]
    return judging.judged(compared, outputs, np.random.default_rng(SEED))


def _others(evidence: Evidence, said: Sequence[Verdicts], now: tuple[str, bytes], floor: float) -> list[Report]:
    """Return what the answers to other versions of the judge, or with another form, said; the newest first."""
    found = []
    for (version, form), rows in evidence.items():
        if (version, form) != now:
            result = _judged(rows, said, version)
            found.append(
                {
                    "judge": version or None,
                    "form": form.hex()[:12],
                    "answers": len(rows),
                    "newest": max(row.resolved_at for row in rows),
                    "certified": bool(version) and result.certified(floor),
                }
            )
    return sorted(found, key=lambda one: str(one["newest"]), reverse=True)


def _needed(found: Judged, floor: float) -> Report:
    """Return how many more answers of each class a certificate needs, and about how many outputs to answer for them.

    A number is None if no number of answers is likely to give the certificate.
    """
    base = found.base_rate
    rate = ((base.value or 0.0) * base.answers + 1.0) / (base.answers + 2.0)
    more = {name: judging.more_needed(getattr(found, name), floor) for name in ("tpr", "tnr")}
    each = [None if n is None else n / part for n, part in zip(more.values(), (rate, 1.0 - rate), strict=True)]
    known = [n for n in each if n is not None]
    total = round(max(known)) if len(known) == len(each) else None
    return {"positive": more["tpr"], "negative": more["tnr"], "outputs": total}


def _why(report: Report, earlier: Sequence[Report]) -> Iterable[str]:
    """Yield the reasons for which the judge is not certified, or is no longer."""
    if report["status"] == "certified":
        return
    if report["judge"] is None and not report["outputs"]:
        yield (
            "No verdict has come in yet: no output with a label, gold left out. Let the judge send its verdicts as "
            "outputs, with `label` and `model_version`."
        )
    elif report["judge"] is None:
        yield (
            "The outputs name no model_version. A certificate is about one version of the judge: have the pipeline "
            "send model_version, such as the name of the model and a hash of its prompt."
        )
    for one in earlier[:1]:
        if one["judge"] != report["judge"]:
            yield f"It was certified as version {one['judge']}, and the newest outputs are of {_version(report)}."
        if one["form"] != report["form"]:
            yield (
                f"It was certified by answers to the form {one['form']}; people read the form {report['form']} now, "
                "with its definitions and instruction."
            )
    if not report["blind_share"]:
        yield (
            "No task is blind: set queue.blind above 0, and use a form that does not ask whether the pipeline's answer "
            "is correct."
        )
    for name, words, label in (("tpr", "TPR", report["positive"]), ("tnr", "TNR", report["other"])):
        if not report[name]["answers"]:
            yield f"No blind answer of people is {label!r}, so its {words} is not known."
        elif report[name]["bound"] < report["floor"]:
            one_sided = "; this bound is one-sided, so it is above the lower end of the 95 % CI"
            yield (
                f"Its {words} is above {_percent(report[name]['bound'])} with 95 % confidence, and a certificate needs "
                f"{_percent(report['floor'])}{one_sided if report[name]['bound'] > report[name]['low'] else ''}."
            )


def _sentences(report: Report) -> Iterable[str]:
    version = _version(report)
    if report["judge"] is None and not report["outputs"]:
        yield f"Not certified: no verdict yet, form {report['form']}."
    elif report["status"] == "certified":
        yield (
            f"Certified: judge {version} with form {report['form']}. With 95 % confidence each, it finds more than "
            f"{_percent(report['tpr']['bound'])} of what people call {report['positive']!r}, and more than "
            f"{_percent(report['tnr']['bound'])} of what they call {report['other']!r} "
            f"(floor {_percent(report['floor'])})."
        )
    elif report["status"] == "stale":
        yield f"Stale: an earlier certificate does not hold for judge {version} with form {report['form']}."
    else:
        yield f"Not certified: judge {version} with form {report['form']}."
    yield from report["why"]
    if report["answers"]:
        yield from _about_figures(report)
    yield from _about_needed(report)
    yield from _about_left_out(report)


def _about_figures(report: Report) -> Iterable[str]:
    positive, negative = report["positive"], report["other"]
    for name, words, label in (("tpr", "TPR", positive), ("tnr", "TNR", negative)):
        found = report[name]
        if found["value"] is not None:
            yield (
                f"The judge agrees with about {_percent(found['value'])} of the {found['answers']:,} answers {label!r} "
                f"({words}, {_interval(found)})."
            )
    base, kappa, agreement = report["base_rate"], report["kappa"], report["agreement"]
    most = max(base["value"], 1.0 - base["value"])
    always = positive if base["value"] >= 0.5 else negative
    yield (
        f"People call {_percent(base['value'])} {positive!r}. Always saying {always!r} would agree with them in "
        f"{_percent(most)}. The judge agrees in {_percent(agreement['value'])} (kappa {kappa['value']:.2f}, 95 % CI "
        f"{kappa['low']:.2f} to {kappa['high']:.2f}; 0 is no better than chance)."
    )
    if kappa["low"] <= 1e-9:
        yield f"So it is not shown to be better than always saying {always!r}."
    corrected, said = report["corrected"], _percent(report["apparent"])
    if corrected["value"] is None:
        yield (
            f"The judge calls {said} of its {report['outputs']:,} outputs {positive!r}. How many truly are cannot be "
            "told: its verdicts may say nothing about people's."
        )
    else:
        yield (
            f"The judge calls {said} of its {report['outputs']:,} outputs {positive!r}. Corrected by its errors, about "
            f"{_percent(corrected['value'])} are ({_interval(corrected)})."
        )


def _about_needed(report: Report) -> Iterable[str]:
    if report["status"] == "certified":
        return
    needed = report["needed"]
    for name, label, words in (("positive", report["positive"], "tpr"), ("negative", report["other"], "tnr")):
        if needed[name] is None:
            yield (
                f"No number of answers is likely to certify {words.upper()}: it is about "
                f"{_percent(report[words]['value'])}, and the floor is {_percent(report['floor'])}. Improve the judge."
            )
        elif needed[name]:
            yield f"About {_count(needed[name], 'more blind answer')} {label!r} would do for {words.upper()}."
    if needed["outputs"]:
        yield (
            f"That is about {_count(needed['outputs'], 'more output')} to answer in the lanes hold-out, audit and "
            "control. Tasks of the rule lane come on top and do not count."
        )
        if report["judge"] is not None:
            yield _about_waiting(report["waiting"], needed["outputs"])
    if needed["outputs"] is not None:
        yield ONE_LOOK


def _about_waiting(waiting: int, needed: int) -> str:
    wait = f"{_count(waiting, 'such output')} of this version {'waits' if waiting == 1 else 'wait'} for an answer"
    if waiting >= needed:
        return f"{wait}, which is enough."
    return f"{wait}, which is too few: let this version judge more, or raise holdout or audit for outputs to come."


def _about_left_out(report: Report) -> Iterable[str]:
    left = LeftOut(**report["left_out"])
    for n, why in (
        (left.not_blind, "people saw a prelabel, or answered outside of Label Studio"),
        (left.ranked, "the trigger and the rank chose them, not chance"),
        (left.unclear, "the reviewers agree on no label"),
        (left.gold, "they are gold, which checks people"),
    ):
        if n:
            yield f"Left out: {_count(n, 'answered output')}, because {why}."
    for one in report["others"]:
        version = "without a version" if one["judge"] is None else f"of judge {one['judge']}"
        yield (
            f"Left out: {_count(one['answers'], 'blind answer')} about outputs {version} with form {one['form']}"
            f"{', which was certified' if one['certified'] else ''}."
        )


def _version(report: Report) -> str:
    return report["judge"] or "(no version)"


def _negative(positive: str, others: Sequence[str]) -> str:
    return others[0] if len(others) == 1 else f"not {positive}"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.1f} %"


def _interval(found: Mapping[str, Any]) -> str:
    return f"95 % CI {100 * found['low']:.1f} to {100 * found['high']:.1f}"
