"""Sentences about a judge: its certificate, missing answers, its rates, and answers that were left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from labelloop.store.estimates.judges import LeftOut

Report = Mapping[str, Any]
ALL_LOOKS = "Only these looks decide. So it does not matter how often somebody opens this report or runs `--check`."


def why(report: Report, earlier: Sequence[Report]) -> Iterable[str]:
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
    for looked, words, label in sorted(_classes(report), key=lambda one: bool(one[0]["certified"])):
        yield from _about_looks(looked, words, label, report["floor"])
    yield ALL_LOOKS


def _classes(report: Report) -> Iterator[tuple[Report, str, str]]:
    """Yield what the looks say of each class, the name of its rate, and its label."""
    yield report["looks"]["positive"], "TPR", report["positive"]
    yield report["looks"]["negative"], "TNR", report["other"]


def _about_looks(looked: Report, words: str, label: str, floor: float) -> Iterator[str]:
    """Yield why a class is not certified, and when it is looked at next."""
    answers, passed_at, last = looked["answers"], looked["passed_at"], looked["last"]
    if looked["certified"]:
        yield f"Its {words} passed the look at {passed_at:,} answers {label!r}."
        return
    if not answers:
        yield f"No blind answer of people is {label!r}, so its {words} is not known."
    elif passed_at is not None:
        yield (
            f"Its {words} passed the look at {passed_at:,} answers {label!r}, but at the last look, at "
            f"{last['answers']:,}, it is below {_percent(floor)}."
        )
    elif last is not None and last["allowed"] >= 0:
        alike = "" if last["effective"] == last["answers"] else f", which tell as much as {last['effective']:,} would"
        yield (
            f"Its {words} did not pass the last look, at {last['answers']:,} answers {label!r}{alike}: the judge "
            f"disagrees with people in {last['incorrect']:,}, and at most {last['allowed']:,} are allowed."
        )
    if looked["next"] is None:
        yield f"There is no further look at its {words}."
    else:
        first = last is None or last["allowed"] < 0
        yield (
            f"The {'first' if first else 'next'} look at its {words} is at {looked['next']:,} answers {label!r}; there "
            f"{'is' if answers == 1 else 'are'} {answers:,}."
        )


def headline(report: Report) -> str:
    """Return one paragraph: whether the judge is certified."""
    version = _version(report)
    if report["judge"] is None and not report["outputs"]:
        return f"Not certified: no verdict yet, form {report['form']}."
    if report["status"] == "certified":
        floor, looks = _percent(report["floor"]), report["looks"]
        return (
            f"Certified: judge {version} with form {report['form']}. With 95 % confidence each, it finds more than "
            f"{floor} of what people call {report['positive']!r}, and more than {floor} of what they call "
            f"{report['other']!r}. The looks at {looks['positive']['passed_at']:,} answers {report['positive']!r} and "
            f"at {looks['negative']['passed_at']:,} answers {report['other']!r} showed it, and it holds however often "
            "people look."
        )
    if report["status"] == "stale":
        return f"Stale: an earlier certificate does not hold for judge {version} with form {report['form']}."
    return f"Not certified: judge {version} with form {report['form']}."


def sentences(report: Report) -> Iterable[str]:
    """Yield all that the report says, the headline first."""
    yield headline(report)
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
            look, more = report["looks"][name]["answers"] + needed[name], _count(needed[name], "more blind answer")
            yield f"{more} {label!r} would do for {words.upper()}: it is likely to pass by the look at {look:,}."
    if needed["outputs"]:
        yield (
            f"That is about {_count(needed['outputs'], 'more output')} to answer in the lanes hold-out, audit and "
            "control. Tasks of the rule lane come on top and do not count."
        )
        if report["judge"] is not None:
            yield _about_waiting(report["waiting"], needed["outputs"])


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


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.1f} %"


def _interval(found: Mapping[str, Any]) -> str:
    return f"95 % CI {100 * found['low']:.1f} to {100 * found['high']:.1f}"
