"""Sentences of the report of a loop's progress. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backend.report.parts import Report
from labelloop.versions import progress


def sentences(report: Report) -> Iterable[str]:
    what = "accuracy" if report["metric"] == "accuracy" else "mean item score"
    yield from _about_curve(report, what)
    if report["trend"] and report["trend"]["direction"] == "rises":
        yield from _about_price(report, what)
    if report["other_learners"]:
        yield (
            f"{report['other_learners']} older {'version was' if report['other_learners'] == 1 else 'versions were'} "
            "made by another learner and left out."
        )
    yield _about_stopping(report["stopping"])


def _about_curve(report: Report, what: str) -> Iterable[str]:
    trend = report["trend"]
    if trend is None:
        yield f"What more answers would bring cannot be said yet: {report['reason']}."
        return
    between = f"from {trend['smallest']:,} to {trend['largest']:,} training answers"
    change = f"{100 * trend['gain']:+.1f} points (95 % CI {100 * trend['low']:+.1f} to {100 * trend['high']:+.1f})"
    if trend["direction"] == "falls":
        yield (
            f"The {what} fell {between}: {change}. A curve that falls is not continued. Look at what changed in the "
            "answers, the labels or the outputs."
        )
        return
    now = f"about {100 * report['forecast'][0]['accuracy']:.1f} %"
    double = next(row for row in report["forecast"] if row["trained_on"] == round(2 * trend["largest"]))
    if trend["direction"] == "unclear":
        yield (
            f"No rise of the {what} beyond chance {between}: {change}. A rise of {100 * trend['findable']:.1f} points "
            "would be found in 80 % of cases."
        )
        yield (
            f"With twice the training answers the {what} is most probably between {100 * double['low']:.1f} and "
            f"{100 * double['high']:.1f} %; on the same curve the newest version has {now}."
        )
        return
    reached = [_more(goal) for goal in report["goals"] if goal["more"] is not None]
    beyond = report["goals"][-1] if report["goals"] and report["goals"][-1]["more"] is None else None
    if reached:
        yield f"The {what} is {now}. About {', '.join(reached)}."
    else:
        most = round((progress.REACH - 1) * trend["largest"])
        yield f"The {what} is {now}. Another point would take more than {most:,} further training answers."
    yield f"It rose {between}: {change}."
    if reached and beyond:
        yield (
            f"Whether {100 * beyond['accuracy']:.1f} % can be reached is not known: the curve is continued to "
            f"{progress.REACH:g} times the training answers, and no further."
        )


def _more(goal: Report) -> str:
    low, high = goal["more_low"] or 0, goal["more_high"]
    limits = f"{_rounded(low):,} to {_rounded(high):,}" if high is not None else f"{_rounded(low):,} or more"
    more = f"{_rounded(goal['more']):,} more training answers for {100 * goal['accuracy']:.1f} %"
    return f"{more} ({limits} in 80 % of cases)"


def _about_price(report: Report, what: str) -> Iterable[str]:
    first = report["goals"][0] if report["goals"] else None
    if first is None or first["hours"] is None:
        return
    yield (
        f"The next point of {what} costs about {_hours(first['hours'])} of people's time: the median answer takes "
        f"{report['seconds_per_answer']:.0f} s, and people give {report['answers_per_training_answer']:.1f} answers, "
        "held-out ones included, for one that trains."
    )


def _about_stopping(criteria: Sequence[Report]) -> str:
    known = [one for one in criteria if one["stops"] is not None]
    if not known:
        return "None of the field's stopping criteria can be computed yet."
    stop = sum(one["stops"] for one in known)
    return (
        f"Stopping criteria that say stop: {stop} of the {len(known)} that can be computed. None of them looks at an "
        "answer: a model that learns slowly looks the same as one that is done, so read them beside the curve."
    )


def _hours(hours: float) -> str:
    return f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:.0f} hours"


def _rounded(n: int) -> int:
    """Round to two digits."""
    return int(float(f"{n:.2g}"))
