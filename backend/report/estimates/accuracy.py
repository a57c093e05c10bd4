"""Accuracy: the error rates of the pipeline's model and of the champion, of all outputs and of their parts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

from backend.report.error_rate import error_rate_report, loss_of
from backend.report.estimates.blind import blind_report
from backend.report.parts import named
from labelloop.answers import error_rate
from labelloop.answers.error_rate import Drawn, Known, Rate
from labelloop.errors import UsageError
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.estimates import champion as champions
from labelloop.store.estimates import parts
from labelloop.store.estimates.champion import Held
from labelloop.store.questions import error_rate as questions
from labelloop.store.questions.error_rate import Answered
from labelloop.store.tables import loops
from labelloop.store.tables import versions as version_store

Report = dict[str, Any]
Row = Answered | Held
PARTS = ("week", "source", "label")
MOST: Mapping[str, int] = {"week": 26, "source": 20, "label": 20}
"""Parts in one report: the newest weeks, and the sources and labels with the most outputs."""


def accuracy_report(conn: Conn, loop: str) -> Report:
    """Return the error rates of the pipeline's model and of the champion, 0 to 1, each with its 95 % interval.

    Keys: all of `error_rate_report` about the pipeline, "loop", "champion", "by", "champion_sentences" and "blind", the
    `blind_report`.

    "champion" is None while the pipeline's own outputs serve. Else it has the version, "outputs", "known" (those with a
    stored prediction), "answers", "value", "low" and "high". "by" has a list for each of PARTS. Each row has "part",
    "pipeline" and "champion". Raises UsageError if there is no such loop.
    """
    spec = loops.get(conn, loop) if loop in loops.names(conn, archived=True) else None
    if spec is None:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(loops.names(conn, archived=True)) or 'none'}")
    pipeline = error_rate_report(conn, spec)
    models: dict[str, _Model] = {"pipeline": _Model(conn, spec, parts.PIPELINE, questions.answered(conn, loop))}
    current = version_store.champion(conn, loop)
    if current is not None:
        held = champions.answered(conn, loop, current.id)
        models["champion"] = _Model(conn, spec, champions.PREDICTED, held, current.id)
    champion: Report | None = None
    if current is not None:
        model = models["champion"]
        rate = _rate(model.rates("all").get(""))
        known = sum(model.known.values())
        champion = {**named(current.id), **rate, "known": known, "promoted_at": current.promoted_at}
    report: Report = {
        **pipeline,
        "loop": loop,
        "champion": champion,
        "by": {by: _rows(by, {name: model.rates(by) for name, model in models.items()}) for by in PARTS},
        "blind": blind_report(conn, spec),
    }
    return {**report, "champion_sentences": list(_sentences(report, loss=pipeline["metric"] == "loss"))}


class _Model:
    """A model with its labels of outputs, some of which are answered."""

    def __init__(
        self, conn: Conn, spec: LoopSpec, of: str, answered: Sequence[Row], version: str | None = None
    ) -> None:
        self._conn, self._of = conn, of
        self._values = {"loop": spec.name, "version": version}
        losses = ((row, loss_of(spec.config, row)) for row in answered)
        self._answers = [(row, loss) for row, loss in losses if loss is not None]
        self.known = {True: 0, False: 0}
        """Outputs with a known label, by stratum."""
        for size in parts.sizes(conn, of, "all", {}, self._values):
            self.known[size.triggered] += size.n
        # Chance chose the held-out outputs, so each stands for as many of its stratum.
        all_ = champions.strata(conn, spec.name) if version is not None else self.known
        self._each = {side: max(1.0, all_.get(side, 0) / n) if n else 1.0 for side, n in self.known.items()}

    def rates(self, by: str) -> dict[str, Rate]:
        """Return the error rate of each part."""
        drawn: dict[str, list[Drawn]] = defaultdict(list)
        for row, loss in self._answers:
            drawn[_PART[by](row)].append(Drawn(row.triggered, row.received_at, row.group_key, loss, row.doubt))
        begins = {
            (part, side): error_rate.periods([row.received_at for row in rows if row.triggered is side])
            for part, rows in drawn.items()
            for side in (True, False)
        }
        found: dict[str, dict[bool, list[Known]]] = defaultdict(dict)
        for size in parts.sizes(self._conn, self._of, by, begins, self._values):
            empty = [Known(0, 0.0)] * (len(begins.get((size.part, size.triggered), ())) + 1)
            found[size.part].setdefault(size.triggered, empty)[size.period] = Known(size.n, size.doubt)
        stand_for = {side: _Whole(each) for side, each in self._each.items()}
        return {
            part: error_rate.estimate(
                drawn.get(part, []),
                {side: begins.get((part, side), []) for side in known},
                {side: [stand_for[side].of(one.outputs) for one in ones] for side, ones in known.items()},
                known,
            ).overall
            for part, known in sorted(found.items())
        }


class _Whole:
    """Turns outputs, each of which stands for `each` outputs, into whole numbers whose sum is rounded only once."""

    def __init__(self, each: float) -> None:
        self._each, self._outputs, self._given = each, 0, 0

    def of(self, outputs: int) -> int:
        self._outputs += outputs
        more = math.floor(self._outputs * self._each + 0.5) - self._given
        self._given += more
        return more


def _week(row: Row) -> str:
    at = row.received_at.astimezone(UTC)
    return f"{at - timedelta(days=at.weekday()):%Y-%m-%d}"


_PART: Mapping[str, Callable[[Row], str]] = {
    "all": lambda row: "",
    "week": _week,
    "source": lambda row: row.source or "",
    "label": lambda row: row.predicted,
}


def _rate(rate: Rate | None) -> Report:
    rate = rate or Rate(0, 0, 0.0)
    return {name: getattr(rate, name) for name in ("outputs", "answers", "value", "low", "high")}


def _rows(by: str, rates: Mapping[str, Mapping[str, Rate]]) -> list[Report]:
    """Return the parts with the rates of each model: weeks in their order, and others by their number of outputs."""
    names = set().union(*rates.values())
    n = {name: max(found[name].outputs for found in rates.values() if name in found) for name in names}
    order = sorted(names) if by == "week" else sorted(names, key=lambda name: (-n[name], name))
    kept = order[-MOST[by] :] if by == "week" else order[: MOST[by]]
    return [
        {
            "part": name,
            "pipeline": _rate(rates["pipeline"].get(name)),
            "champion": _rate(rates["champion"].get(name)) if "champion" in rates else None,
        }
        for name in kept
    ]


def _sentences(report: Report, *, loss: bool) -> Iterable[str]:
    champion = report["champion"]
    if champion is None:
        yield "No version was promoted yet, so the pipeline's own outputs are the champion."
        return
    name, what = champion["name"], "mean loss" if loss else "error rate"
    if champion["value"] is None:
        yield (
            f"The {what} of champion {name} cannot be estimated yet: too few held-out outputs with its "
            "prediction have an answer."
        )
        return
    verb = "has a mean loss of about" if loss else "gives an incorrect label to about"
    yield (
        f"Champion {name} {verb} {100 * champion['value']:.1f} % of the outputs that came in (95 % CI "
        f"{100 * champion['low']:.1f} to {100 * champion['high']:.1f}). This is estimated from {champion['answers']:,} "
        f"held-out answers, which never train a version, among {champion['known']:,} held-out outputs with its "
        "prediction."
    )
    yield (
        "It is about all outputs that came in so far, had the champion labelled them. The gate chose the champion by a "
        "part of these answers, so the figure may be slightly too good."
    )
