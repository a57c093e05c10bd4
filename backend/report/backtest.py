"""Backtest: what a changed rule would have sent of the stored outputs, and how many errors it would have passed.

The intake's own functions place each output. The hashes of the lanes depend on the loop's name and the output's key or
group. So the same outputs come to the same lanes when they are submitted under this rule.

The errors of what nobody sees are estimated from the answers that chance chose, as in backend/report/error_rate.py. The
outputs that the changed rule does not send are of two strata: those that the rule of their time sent, and those that it
did not send either. Chance chose from each of them by its own share.

What the answers tell about all outputs that a rule does not send, less the errors that they found themselves, are the
errors among the others. Those that pass are some of the others, drawn by hashes. So the interval is wider than that of
the error rate, which knows the answered outputs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from backend.report.error_rate import loss_of
from backend.report.rationed import known_name, rationed_report
from labelloop.answers import error_rate
from labelloop.answers.error_rate import Drawn, Estimate, Rate
from labelloop.errors import InvalidOutput
from labelloop.outputs import fitting
from labelloop.queue.lanes import Lane, Placement, only_without_certificate, place
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.questions import error_rate as questions
from labelloop.store.questions.routed import Routed, routed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Report = dict[str, Any]


def placements(conn: Conn, spec: LoopSpec, since: datetime | None = None) -> Iterator[tuple[Routed, Placement | None]]:
    """Yield each stored output of the loop with its place by this spec; None if the intake would refuse it now.

    With a budget, the earliest come first.
    """
    labels, sends = dict.fromkeys(spec.labels), spec.sends
    for row in routed(conn, spec.name, since, in_order=spec.budget is not None):
        try:
            output = fitting.check(fitting.shown(row.output(), spec.config), spec.config, labels)
        except InvalidOutput:
            yield row, None
            continue
        yield row, place(output, spec, sends) if row.width == spec.queue.embedding else None


def backtest_report(conn: Conn, in_force: LoopSpec, spec: LoopSpec, since: datetime | None = None) -> Report:
    """Return what `spec` would have sent of the outputs that came since then, beside what was sent.

    Their number is "outputs". Those that do not fit the form of `spec` are "refused", and in no other count. Those with
    the answer of an earlier output are "repeats": nobody was asked, nor would be if `spec` reuses answers. The keys
    "lanes", "asked", "labels" and "sources" have numbers by "was" and "would"; "newly" and "no_longer" differ. How many
    are asked a day, in UTC, is "load": the mean and the busiest day. What nobody sees is "passed", with the expected
    number of incorrect labels and its 95 % interval, None if it cannot be estimated.

    With `accept`, what no certificate covers is asked too. No certificate exists before there are answers, so all of
    that is in "asked". How many of "was" passed unseen by one, and how many of "would" one may cover, is "accepted".

    "budget" is what the budget would make of those that are asked (backend/report/rationed.py). It is None without a
    budget. No other number takes the budget into account.
    """
    drawn = {
        row.output_id: (row, lost)
        for row in questions.answered(conn, spec.name)
        if (lost := loss_of(in_force.config, row)) is not None
    }
    was, would = _Side(), _Side()
    labels, sources = set[str](), set[str]()
    counts = Counter[str]()

    def sent() -> Iterator[tuple[Routed, Placement]]:
        """Count each output, and yield those that `spec` sends to people."""
        for row, placed in placements(conn, spec, since):
            counts["outputs"] += 1
            if placed is None:
                counts["refused"] += 1
                continue
            answer, source = drawn.get(row.id), known_name(sources, row.source)
            counts["repeats"] += row.repeats
            alone = not (row.repeats and spec.reuse_answers)
            if not row.repeats:
                was.add(row, row.lane, row.triggered, known_name(labels, row.label), source, answer)
            if alone:
                would.add(row, placed.lane, placed.triggered, known_name(labels, placed.label), source, answer)
            counts["accepted"] += row.accepted
            counts["open"] += alone and spec.accept is not None and only_without_certificate(placed)
            asked, would_ask = row.lane != Lane.PASS and not row.repeats, placed.lane != Lane.PASS and alone
            counts["newly"] += would_ask and not asked
            counts["no_longer"] += asked and not would_ask
            if would_ask:
                yield row, placed

    rationed = rationed_report(spec, sent())
    return {
        "loop": spec.name,
        "since": since,
        **{name: counts[name] for name in ("outputs", "refused", "repeats", "newly", "no_longer")},
        "asked": {"was": was.asked, "would": would.asked},
        "accepted": {"was": counts["accepted"], "would": counts["open"]},
        "lanes": {lane.value: {"was": was.lanes[lane], "would": would.lanes[lane]} for lane in Lane},
        "labels": _side_by_side(was.labels, would.labels),
        "sources": _side_by_side(was.sources, would.sources),
        "load": {"was": was.load(), "would": would.load()},
        "passed": {"was": was.passed(), "would": would.passed()},
        "budget": rationed,
    }


@dataclass(slots=True)
class _Side:
    """Counts of what one rule does."""

    asked: int = 0
    lanes: Counter[str] = field(default_factory=Counter)
    labels: Counter[str | None] = field(default_factory=Counter)
    sources: Counter[str | None] = field(default_factory=Counter)
    days: Counter[date] = field(default_factory=Counter)
    first: date = date.max
    last: date = date.min
    passing: Counter[bool | None] = field(default_factory=Counter)
    """Outputs with a label that nobody sees and chance did not choose for an answer, by whether the rule of their time
    sent them; None if that is not known."""
    found: float = 0.0
    """Errors of outputs that nobody would see, but that chance chose and people answered."""
    answered: int = 0
    """How many outputs `found` is about."""
    not_sent: dict[bool, array[int]] = field(default_factory=lambda: {True: array("q"), False: array("q")})
    """When the outputs came that the rule does not send, in microseconds, by whether the rule of their time sent them.
    """
    drawn: list[Drawn] = field(default_factory=list)
    """Answers to those outputs that chance chose."""

    def add(
        self,
        row: Routed,
        lane: str,
        triggered: bool | None,
        label: str | None,
        source: str | None,
        answer: tuple[questions.Answered, float] | None,
    ) -> None:
        self.lanes[lane] += 1
        day = row.received_at.astimezone(UTC).date()
        self.first, self.last = min(self.first, day), max(self.last, day)
        if lane != Lane.PASS:
            self.asked += 1
            self.days[day] += 1
            self.labels[label] += 1
            self.sources[source] += 1
        elif label is not None and answer is not None:
            self.answered += 1
            self.found += answer[1]
        elif label is not None:
            self.passing[row.triggered] += 1
        if triggered is False and row.triggered is not None and label is not None:
            self.not_sent[row.triggered].append((row.received_at - EPOCH) // timedelta(microseconds=1))
            if answer is not None:
                self.drawn.append(Drawn(row.triggered, row.received_at, row.group_key, answer[1]))

    def load(self) -> Report:
        """Return how many people are asked a day; a day without any output counts too."""
        days = (self.last - self.first).days + 1 if self.last >= self.first else 0
        busiest = min(self.days.items(), key=lambda item: (-item[1], item[0]), default=(None, 0))
        return {
            "days": days,
            "mean": self.asked / days if days else 0.0,
            "busiest": busiest[1],
            "busiest_day": busiest[0],
        }

    def passed(self) -> Report:
        """Return how many outputs nobody sees, and the expected number of incorrect labels among them."""
        begins = {
            sent: error_rate.periods([row.received_at for row in self.drawn if row.triggered is sent])
            for sent in (True, False)
        }
        sizes = {sent: _sizes(self.not_sent[sent], begins[sent]) for sent in begins}
        estimate = error_rate.estimate(self.drawn, begins, sizes)
        unseen = sum(self.passing.values())
        report = {
            "outputs": self.lanes[Lane.PASS],
            "labelled": unseen + self.answered,
            "answers": estimate.overall.answers,
        }
        return {**report, **_errors(self.found, self.passing, estimate, self.drawn)}


def _errors(
    found: float, passing: Mapping[bool | None, int], estimate: Estimate, drawn: Sequence[Drawn]
) -> dict[str, float | None]:
    """Return the expected number of errors: `found`, and those among the outputs in `passing`, with its interval."""
    overall, unseen = estimate.overall, sum(passing.values())
    if not unseen:
        return {"errors": found, "low": found, "high": found}
    if overall.value is None or overall.low is None or overall.high is None:
        return {"errors": None, "low": None, "high": None}
    expected = 0.0
    for sent, n in passing.items():
        rate = estimate.strata.get(sent, overall) if sent is not None else overall
        if rate.value is None:
            rate = overall
        lost = sum(row.loss for row in drawn if rate is overall or row.triggered is sent)
        expected += n * _share(rate, lost)
    scale = unseen * overall.outputs / max(overall.outputs - overall.answers, 1)
    low = max(0.0, expected - scale * (overall.value - overall.low))
    high = min(float(unseen), expected + scale * (overall.high - overall.value))
    return {"errors": found + expected, "low": found + low, "high": found + high}


def _share(rate: Rate, lost: float) -> float:
    """Return the share of errors among the outputs without an answer; `lost` is the number that the answers found."""
    others = rate.outputs - rate.answers
    if others <= 0 or rate.value is None:
        return rate.value or 0.0
    return min(1.0, max(0.0, (rate.value * rate.outputs - lost) / others))


def _sizes(received: array[int], begins: list[datetime]) -> list[int]:
    """Return how many outputs came in each period."""
    times = [(at - EPOCH) // timedelta(microseconds=1) for at in begins]
    found = [0] * (len(times) + 1)
    for at in received:
        found[bisect_right(times, at)] += 1
    return found


def _side_by_side(was: Mapping[str | None, int], would: Mapping[str | None, int]) -> list[Report]:
    """Return how many were and would be asked by name, the largest first; outputs without one have the name None."""
    names = sorted({*was, *would}, key=lambda name: (-would.get(name, 0), -was.get(name, 0), name or ""))
    return [{"name": name, "was": was.get(name, 0), "would": would.get(name, 0)} for name in names]
