"""The sentences of the threshold report: what passes unseen, where the test begins, how many answers are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backend.report.parts import Report
from backend.report.words import percent
from backend.train.certify import UNNAMED
from labelloop.spec.accept import ALL
from labelloop.spec.loop import LoopSpec
from labelloop.store.promises.trials import Labeller

NO_ACCEPT = (
    "loop.yaml has no `accept`: what neither the trigger nor chance sends passes, without any promise. Below is what "
    "`accept: {error: 0.05}` would do."
)


def sentences(spec: LoopSpec, report: Report, who: Labeller | None, bare: tuple[int, int]) -> Iterator[str]:
    """Yield the sentences, the promise first. `bare`: outputs without a label or a confidence, of how many newest."""
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
    if report["since"] is not None:
        yield (
            f"Only outputs that came in after {report['since']:%Y-%m-%d %H:%M} UTC count: then an earlier certificate "
            "of this model was revoked or withdrawn."
        )
    yield _place(report)
    yield from _missing(report)


def _promise(promise: Mapping[str, Any]) -> str:
    each = "for each label on its own" if promise["by"] else "for all labels together, and not for each label"
    begins, holds = ("The promise:", "holds") if promise["is_set"] else ("It would promise:", "would hold")
    return (
        f"{begins} of what passes unseen at most {100 * promise['error']:g} % is incorrect, {each}. It {holds} with "
        f"a probability of {100 * promise['confidence']:g} % over the life of the loop."
    )


def _place(report: Report) -> str:
    chance = f"{percent(report['part'])} of the chance of error"
    if report["place"] == 1:
        return f"This is the loop's first test. It may use {chance}; the tests of later models share the rest."
    return (
        f"This is test {report['place']:,} of the loop, and it may use {chance}. Each model that was tested or judged "
        "before took a part, so a later test needs more answers for the same promise."
    )


def _begins(curve: Mapping[str, Any], report: Report) -> str:
    above = curve["above"]
    begins, goes = ("begins", "goes") if report["begun"] else ("would now begin", "go")
    of = "outputs" if curve["label"] is None else f"outputs labelled {curve['label']}"
    share = "" if above["share"] is None else f"{percent(above['share'])} of the {of} and "
    first, last = 100 * curve["begins_at"], 100 * curve["ends_at"]
    return (
        f"The test {begins} at {first:.2f} % confidence and {goes} down to {last:.2f} %. At or above "
        f"the beginning are {share}{above['answers']:,} of the answers, {above['incorrect']:g} of them incorrect."
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
            yield _begins(curve, report)
        elif curve["label"] is not None and report["promise"]["by"]:
            yield f"Nothing labelled {curve['label']} passes. {_lack(curve, report)}"


def _next(report: Report) -> Iterator[str]:
    if report["next_look"]:
        more = report["next_look"] - report["answers"]
        mine = [curve for curve in report["curves"] if curve["label"] is None or report["promise"]["by"]]
        at_end = all(curve["threshold"] is not None and curve["threshold"] == curve["ends_at"] for curve in mine)
        then = (
            "The test has reached its last confidence, so that look cannot let more pass; it checks the promise again."
            if at_end
            else "It may let more pass."
        )
        yield f"The next look comes after {more:,} more answers, at {report['next_look']:,}. {then}"


def _missing(report: Report) -> Iterator[str]:
    for curve in report["curves"]:
        if curve["label"] is not None and not report["promise"]["by"]:
            continue
        if curve["threshold"] is not None:
            yield "The answers support a certificate now: the worker makes it at its next check, if nothing drifts."
            yield _begins(curve, report)
        else:
            of = "" if curve["label"] is None else f"Label {curve['label']}: "
            yield of + _lack(curve, report)


def _lack(curve: Mapping[str, Any], report: Report) -> str:
    if curve["begins_at"] is None:
        least = "No number of answers" if curve["likely_at"] is None else f"At least {curve['likely_at']:,} answers"
        return (
            f"No output with a confidence came in that counts. {least} that chance chooses would do, and only if none "
            "of them is incorrect."
        )
    begins = _begins(curve, report)
    if curve["missing"]:
        size = report["next_look"]
        then = (
            "and then it probably succeeds"
            if size == curve["likely_at"]
            else f"but it probably succeeds only at {curve['likely_at']:,}"
        )
        return (
            f"{begins} The next look is at {size:,} answers, after {size - report['answers']:,} more, {then}. About "
            f"{curve['missing']:,} more answers that chance chooses are needed, if {percent(curve['likely_rate'])} of "
            "the labels there are incorrect."
        )
    return (
        f"{begins} More answers alone will not do: above {100 * curve['begins_at']:.2f} % confidence about as many "
        f"labels are incorrect as the promise allows, or more. A better or better calibrated model is needed, or a "
        f"promise of more than {100 * report['promise']['error']:g} %."
    )
