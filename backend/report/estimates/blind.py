"""Blind: what a shown prelabel does to people's answers, as numbers and in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from labelloop.answers.anchoring import anchoring
from labelloop.queue import blind
from labelloop.queue.order import LANES, SECOND
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.estimates import blind as questions

Report = dict[str, Any]


def blind_report(conn: Conn, spec: LoopSpec) -> Report:
    """Return the share of answers that are the model's label, with and without a prelabel, 0 to 1.

    Keys: "share" (of the outputs that are blind now, by lane), "lanes" (numbers of answers), "found", and "sentences",
    which say all of it.

    "found" has "blind", "shown", "difference", "low" and "high". It is None while one side has no
    answer.
    """
    arms = questions.arms(conn, spec.name)
    found = anchoring(arms)
    report: Report = {
        "share": {str(lane): blind.share(spec, lane) for lane in LANES if lane != SECOND},
        "lanes": [row._asdict() for row in arms],
        "found": None if found is None else asdict(found),
    }
    return {**report, "sentences": list(_sentences(report))}


def _sentences(report: Report) -> Iterable[str]:
    found = report["found"]
    counted = [row for row in report["lanes"] if found is None or (row["blind"] and row["shown"])]
    n = {side: sum(row[side] for row in counted) for side in ("blind", "shown")}
    if found is None:
        if n["blind"]:
            yield (
                f"{n['blind']:,} answers were given without a prelabel, and none with one in the same lanes. To see "
                "what prelabels do to answers, set queue.blind between 0 and 1, such as 0.5."
            )
        elif any(report["share"].values()):
            yield "No answer was given without a prelabel yet."
        return
    difference, ends = 100 * found["difference"], f"95 % CI {100 * found['low']:+.1f} to {100 * found['high']:+.1f}"
    yield (
        f"People give the model's answer in {100 * found['blind']:.1f} % of blind tasks, and in "
        f"{100 * found['shown']:.1f} % of the others: {difference:+.1f} points ({ends}). These are {n['blind']:,} and "
        f"{n['shown']:,} answers of the same lanes."
    )
    if found["low"] > 0:
        yield (
            "So a shown answer sways people: some accept what they would not have answered on their own, or are helped "
            "to the correct answer. The blind answers are the ones to measure a model by."
        )
    else:
        yield "That a shown answer sways people is not seen here."
