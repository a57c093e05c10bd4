"""Error rate: how many of all outputs that came in are incorrect, with an interval, as numbers and in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from labelloop.answers import error_rate, measures
from labelloop.answers.error_rate import WANTED, Drawn, Estimate, Known, Rate
from labelloop.answers.item_scores import item_score
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.estimates.champion import Held
from labelloop.store.questions import error_rate as questions
from labelloop.store.questions.error_rate import Answered, LeftOut, Open, Ranked, Step

Report = dict[str, Any]
Predicted = Answered | Ranked | Held
LATER = 0.2
"""Share of a stratum that came after its newest answered output, from which the report says so."""
LANE_WORDS = {"holdout": "hold-out", "control": "control", "audit": "audit"}


def error_rate_report(conn: Conn, spec: LoopSpec, step: Step | None = None) -> Report:
    """Return the error rate of the pipeline's own labels over all outputs that came in, gold left out.

    With `step`, it is that of the outputs of this step only.

    Keys: "metric" ("error rate", or "loss" for structured answers: 1 - the item score), "outputs", "answers", "value",
    "low", "high", "strata", "reviewed", "left_out", and "sentences", which say all of it.

    Two more keys say what the item score is ("score"), and have the measures of labelloop/answers/measures.py for the
    answers that the estimate uses ("measures").

    Rates are 0 to 1; "low" to "high" is the 95 % interval. A rate that cannot be estimated is None, and "missing" of a
    stratum has about how many more answers are needed.
    """
    answered = [(row, loss_of(spec.config, row)) for row in questions.answered(conn, spec.name, step)]
    clear = [(row, loss) for row, loss in answered if loss is not None]
    begins = {
        triggered: error_rate.periods([row.received_at for row, _ in clear if row.triggered is triggered])
        for triggered in (True, False)
    }
    newest = {row.triggered: row.received_at for row, _ in sorted(clear, key=lambda pair: pair[0].received_at)}
    outputs = {triggered: [0] * (len(times) + 1) for triggered, times in begins.items()}
    known = {triggered: [Known(0, 0.0)] * (len(times) + 1) for triggered, times in begins.items()}
    later = Counter[bool]()
    for size in questions.sizes(conn, spec.name, begins, newest, step):
        outputs[size.triggered][size.period] = size.n
        known[size.triggered][size.period] = Known(size.n, size.doubt)
        later[size.triggered] += size.later
    drawn = [Drawn(row.triggered, row.received_at, row.group_key, loss, row.doubt) for row, loss in clear]
    found = error_rate.estimate(drawn, begins, outputs, known)
    open_ = questions.open_(conn, spec.name, step)
    report: Report = {
        "metric": "error rate" if spec.config.answer.kind is Kind.LABEL else "loss",
        "score": measures.score_words(spec.config.answer),
        "measures": measures.measured(
            spec.config, ((row.answer, row.predicted) for row, _ in clear if row.answer is not None)
        ),
        **_rate(found.overall),
        "strata": [
            {
                **_stratum(spec, found, triggered, open_),
                "lanes": dict(Counter(row.lane for row, _ in clear if row.triggered is triggered).most_common()),
                "newest": newest.get(triggered),
                "later": later[triggered],
            }
            for triggered in found.strata
        ],
        "disagreements": sum(row.answer is None for row, _ in clear),
        "unclear": len(answered) - len(clear),
        "reviewed": _reviewed(spec.config, found, clear, questions.ranked(conn, spec.name, step)),
        "left_out": _left_out(questions.left_out(conn, spec.name, step)),
    }
    return {**report, "sentences": list(_sentences(report))}


def loss_of(config: LabelingConfig, row: Predicted) -> float | None:
    """Return 1 - the item score of the model's label, 0 to 1. If the reviewers disagree it is their mean.

    It is None if no reviewer gave a clear answer.
    """
    opinions = row.opinions if row.answer is None else [row.answer]
    if not opinions:
        return None
    losses = [1.0 if label is None else 1.0 - item_score(config, label, row.predicted) for label in opinions]
    return sum(losses) / len(losses)


def _rate(rate: Rate) -> Report:
    return {name: getattr(rate, name) for name in ("outputs", "answers", "value", "low", "high", "slope")}


def _stratum(spec: LoopSpec, found: Estimate, triggered: bool, open_: Mapping[bool, Open]) -> Report:
    rate, waits = found.strata[triggered], open_.get(triggered, Open(triggered, 0, 0, 0, 0, 0))
    more = "control" if triggered else "audit"
    shares = {"holdout": spec.holdout, "control": spec.queue.control, "audit": spec.audit}
    return {
        "triggered": triggered,
        **_rate(rate),
        "share": rate.outputs / found.overall.outputs,
        "missing": error_rate.missing(found, triggered),
        "missing_from": [lane for lane in (more, "holdout") if shares[lane]],
        **{name: getattr(waits, name) for name in ("waiting", "in_review", "unreadable", "skipped", "set_aside")},
    }


def _reviewed(
    config: LabelingConfig, found: Estimate, clear: Iterable[tuple[Answered, float]], ranked: Iterable[Ranked]
) -> Report:
    """Return the rate of all reviewed answers, which is biased, and its difference from the estimate."""
    losses = [(loss, 1) for _, loss in clear]
    losses += [(loss, row.n) for row in ranked if (loss := loss_of(config, row)) is not None]
    n = sum(count for _, count in losses)
    value = sum(loss * count for loss, count in losses) / n if n else None
    estimated = found.overall.value
    difference = None if value is None or estimated is None else value - estimated
    return {"answers": n, "value": value, "difference": difference}


def _left_out(rows: LeftOut) -> Report:
    return asdict(rows)


def _sentences(report: Report) -> Iterable[str]:
    if not report["outputs"]:
        yield "No output with a label of the pipeline has come in, so there is nothing to estimate."
        yield from _about_left_out(report)
        return
    loss, every = report["metric"] == "loss", f"all {report['outputs']:,} outputs that came in"
    if report["value"] is None:
        yield f"The {report['metric']} of {every} cannot be estimated yet."
    else:
        value, interval = _percent(report["value"]), _interval(report)
        found = f"The mean loss (1 - item score) of {every} is about {value}" if loss else ""
        found = found or f"About {value} of {every} are incorrect"
        yield f"{found} ({interval}). This is estimated from {_answers(report['answers'])} that chance chose."
    if any(stratum["slope"] for stratum in report["strata"]):
        yield "The model's own confidence, compared with these answers, makes the interval narrower."
    if loss:
        yield f"The item score, 0 to 1, is {report['score']}."
    yield from _about_measures(report["measures"])
    for stratum in report["strata"]:
        yield from _about_stratum(stratum, loss)
    yield from _about_reviewed(report["reviewed"])
    if report["disagreements"]:
        yield (
            f"The reviewers of {_count(report['disagreements'], 'such output', 'such outputs')} disagree. An output of "
            "these counts by the share of its reviewers whose answer differs from the pipeline's."
        )
    yield from _about_left_out(report)


def _about_measures(found: Report) -> Iterable[str]:
    if found:
        each = [
            f"{measures.measure_words(name)} {measures.value_words(name, one['value'])} on {one['items']:,}"
            for name, one in found.items()
        ]
        yield f"Measures of these answers, not weighted by stratum: {', '.join(each)}."


def _about_stratum(stratum: Report, loss: bool) -> Iterable[str]:
    sends = "sends" if stratum["triggered"] else "does not send"
    size = f"The trigger {sends} {stratum['outputs']:,} outputs ({_percent(stratum['share'])} of all)"
    if stratum["value"] is None:
        yield f"{size}: chance chose none that is answered."
    else:
        lanes = ", ".join(f"{n:,} of the {LANE_WORDS[lane]} lane" for lane, n in stratum["lanes"].items())
        rate = f"the mean loss is about {_percent(stratum['value'])}" if loss else ""
        rate = rate or f"about {_percent(stratum['value'])} are incorrect"
        yield f"{size}: {rate} ({_interval(stratum)}; answers: {lanes})."
    if stratum["missing"]:
        yield _about_missing(stratum)
    without = [
        f"{stratum[name]:,} {words}"
        for name, words in (
            ("unreadable", "with an unreadable answer"),
            ("skipped", "skipped"),
            ("set_aside", "set aside"),
        )
        if stratum[name]
    ]
    if without:
        yield f"Chance chose these too, but they have no answer: {', '.join(without)}."
    if stratum["newest"] and stratum["later"] > LATER * stratum["outputs"]:
        yield (
            f"{stratum['later']:,} outputs that it {sends} came after the newest one with such an answer "
            f"({stratum['newest']:%Y-%m-%d}). They are taken to be like those before."
        )


def _about_missing(stratum: Report) -> str:
    lanes = " or ".join(LANE_WORDS[lane] for lane in stratum["missing_from"])
    wanted = (
        f"For +- {100 * WANTED:.0f} points in the total of all outputs, about {_answers(stratum['missing'], 'more ')}"
    )
    if not lanes:
        more = "queue.control" if stratum["triggered"] else "audit"
        return f"{wanted} are needed, but no lane draws such outputs: set {more} or holdout above 0 in loop.yaml."
    there = stratum["waiting"] + stratum["in_review"]
    waits = _count(there, "such output waits", "such outputs wait")
    return f"{wanted} of the {lanes} lane are needed; {waits} for an answer."


def _about_reviewed(reviewed: Report) -> Iterable[str]:
    if reviewed["difference"] is None:
        return
    side = "above" if reviewed["difference"] >= 0 else "below"
    yield (
        f"Do not take the rate of all {_answers(reviewed['answers'], 'reviewed ')} for it: "
        f"{_percent(reviewed['value'])}, {abs(100 * reviewed['difference']):.1f} points {side} the estimate. Ranking "
        "and the lanes' shares decide what people review."
    )


def _about_left_out(report: Report) -> Iterable[str]:
    left = report["left_out"]
    if left["unknown_stratum"]:
        yield (
            f"{_count(left['unknown_stratum'], 'held-out output is', 'held-out outputs are')} left out: it was not yet "
            "stored on arrival whether the trigger sends them."
        )
    if left["chosen_by_people"]:
        yield (
            f"{_count(left['chosen_by_people'], 'output is', 'outputs are')} left out: people answered them in Label "
            "Studio before labelloop chose any, so chance did not choose them."
        )
    if left["without_label"]:
        yield f"{_count(left['without_label'], 'output is', 'outputs are')} left out: the pipeline gave no label."
    if left["repeats"]:
        yield (
            f"{_count(left['repeats'], 'output is', 'outputs are')} left out: an earlier output has the same content "
            "and brings its answer."
        )
    if report["unclear"]:
        yield f"{_count(report['unclear'], 'output is', 'outputs are')} left out: no reviewer gave a clear answer."


def _answers(n: int, kind: str = "") -> str:
    return f"{n:,} {kind}answer{'' if n == 1 else 's'}"


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(rate: Report) -> str:
    return f"95 % CI {100 * rate['low']:.1f} to {100 * rate['high']:.1f}"
