"""Corrections: what people changed in the answers that they were shown, by label, week and model version.

It is computed from the prelabel that a task had last and from the answer of each person: nothing more is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from labelloop.answers.changes import Change, What, changes
from labelloop.errors import UsageError
from labelloop.labeling import kinds, results
from labelloop.reading.direction import isolated
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.questions import people
from labelloop.store.questions.people import Shown
from labelloop.store.tables import loops
from labelloop.versions.version import PIPELINE

Report = dict[str, Any]
DAYS_BACK = 90
MOST_ANSWERS = 100_000
"""Newest answers that are compared: with five boxes each this takes about 20 s of processor time."""
ANSWERS_ON_A_PAGE = 10_000
MOST = 20
"""Rows of the lists of confusions and of words."""
ENOUGH = 20
"""Times that a label must have been shown before a sentence compares its share of corrections."""
_PAST = {
    What.RELABELLED: "relabelled",
    What.MOVED: "moved",
    What.EDITED: "edited",
    What.DELETED: "deleted",
}


def corrections_report(
    conn: Conn, spec: LoopSpec, now: datetime, days: int = DAYS_BACK, most: int = MOST_ANSWERS
) -> Report:
    """Return what people changed in shown answers in the last `days` days; of the newest `most` answers if there are
    more.

    The answers ("answers") were shown a prelabel. Some ("unchanged") were submitted as shown. The parts ("parts") are
    the labels, regions and texts of the shown answers. The counts ("counts") are by kept, moved, relabelled, edited,
    deleted and added.

    The labels ("labels") have one row a control and label. Each has its counts, how often it was shown, and the share
    of these that was corrected.

    All lists begin with the most frequent: also the confusions (shown and given label) and the words (of texts). Weeks
    and versions have the same figures as the whole. Shares are 0 to 1; None without any shown.
    """
    total, weeks, versions = _Tally(), dict[str, _Tally](), dict[str, _Tally]()
    labels: dict[tuple[str, str], Counter[What]] = {}
    confused, words = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for row, found in _changes(spec, people.answers_to_prelabels(conn, spec.name, now - timedelta(days=days), most)):
        version = f"{PIPELINE} {row.model_version}".strip() if row.champion == PIPELINE else row.champion
        for tally in (
            total,
            weeks.setdefault(f"{row.week:%Y-%m-%d}", _Tally()),
            versions.setdefault(version, _Tally()),
        ):
            tally.add(found)
        for change in found:
            label = change.given if change.shown is None else change.shown
            labels.setdefault((change.control, label or ""), Counter())[change.what] += 1
            if change.what is What.RELABELLED:
                confused[change.control, change.shown or "", change.given or ""] += 1
            words.update((change.control, *pair) for pair in change.words)
    rows = [_label_row(control, label, counts) for (control, label), counts in labels.items()]
    report: Report = {
        "days": days,
        "most": most,
        **total.as_json(),
        "labels": sorted(rows, key=lambda row: (-row["corrections"], row["control"], row["label"])),
        "confusions": _most(confused),
        "words": _most(words),
        "weeks": [{"week": week, **tally.as_json()} for week, tally in sorted(weeks.items())],
        "versions": [{"version": version, **tally.as_json()} for version, tally in versions.items()],
    }
    return {**report, "sentences": list(_sentences(report))}


def corrections_of(conn: Conn, loop: str, now: datetime, days: int = DAYS_BACK, most: int = MOST_ANSWERS) -> Report:
    """Return the same report for the loop of this name, as `loop`. Raises UsageError if there is none."""
    if (spec := loops.get(conn, loop)) is None:
        raise UsageError(f"no loop {loop!r}")
    return {"loop": loop, **corrections_report(conn, spec, now, days, most)}


class _Tally:
    """Number of answers and of their changes."""

    def __init__(self) -> None:
        self.answers, self.unchanged, self.counts = 0, 0, Counter[What]()

    def add(self, found: list[Change]) -> None:
        self.answers += 1
        self.unchanged += all(change.what is What.KEPT for change in found)
        self.counts.update(change.what for change in found)

    def as_json(self) -> Report:
        return {
            "answers": self.answers,
            "unchanged": self.unchanged,
            **_shares(self.counts),
        }


def _shares(counts: Mapping[What, int]) -> Report:
    parts = sum(n for what, n in counts.items() if what is not What.ADDED)
    corrections = parts - counts.get(What.KEPT, 0)
    return {
        "parts": parts,
        "counts": {str(what): counts.get(what, 0) for what in What},
        "corrections": corrections,
        "corrected": corrections / parts if parts else None,
    }


def _label_row(control: str, label: str, counts: Mapping[What, int]) -> Report:
    found = _shares(counts)
    return {"control": control, "label": label, "shown": found.pop("parts"), **found}


def _changes(spec: LoopSpec, rows: Iterable[Shown]) -> Iterator[tuple[Shown, list[Change]]]:
    """Yield each answer with its changes. An answer that was submitted unchanged is compared with itself, since the
    task's prelabel may have been renewed after it.
    """
    config = spec.config
    control = config.answer
    known: dict[tuple[str | None, str | None], list[Change]] = {}
    for row in rows:
        shown = row.label if row.kept and row.label is not None else _shown(spec, row)
        pair = shown, row.label
        if pair not in known:
            if len(known) > 10_000:
                known.clear()
            known[pair] = changes(control, shown, row.label)
        yield row, known[pair]


def _shown(spec: LoopSpec, row: Shown) -> str | None:
    """Return the shown answer as the form can express it."""
    config = spec.config
    if row.result is not None and row.shown == row.output_label:
        found = results.given(config.answer, row.result)
        if found is not None:
            return found
    if row.shown is None or config.answer is config.verdict:
        return row.shown
    return kinds.nearest_answer(config.answer, row.shown)


def _most(counts: Counter[tuple[str, str, str]]) -> list[Report]:
    return [
        {"control": control, "shown": shown, "given": given, "n": n}
        for (control, shown, given), n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
    ]


def _sentences(report: Report) -> Iterator[str]:
    if not report["answers"]:
        yield f"Nobody answered an item with a prelabel in the last {report['days']} days."
        return
    yield (
        f"{report['unchanged']:,} of {report['answers']:,} answers to items with a prelabel were submitted unchanged "
        f"({100 * report['unchanged'] / report['answers']:.1f} %)."
    )
    if report["answers"] == report["most"]:
        yield f"These are the newest {report['most']:,} answers; older ones are left out."
    counts = report["counts"]
    if report["parts"]:
        each = ", ".join(f"{counts[what]:,} {words}" for what, words in _PAST.items() if counts[what])
        changed = f"{report['corrections']:,} of {report['parts']:,} shown labels, regions or texts were corrected"
        changed += f" ({100 * report['corrected']:.1f} %)"
        yield f"In these answers, {changed}{f': {each}' if each else ''}."
    if counts[What.ADDED]:
        yield f"People added {counts[What.ADDED]:,} that were not shown."
    named = [row for row in report["labels"] if row["corrections"] and row["label"]]
    if named:
        yield f"The label that is corrected most often is {_label_words(named[0])}."
        worst = max((row for row in named if row["shown"] >= ENOUGH), key=lambda row: row["corrected"], default=None)
        if worst is not None and worst is not named[0]:
            yield f"The label with the largest share of corrections is {_label_words(worst)}."
    for what, name in (("label", "confusions"), ("text", "words")):
        for first in report[name][:1]:
            change = f"{_quoted(first['shown'])} to {_quoted(first['given'])}: {first['n']:,}"
            yield f"The most frequent correction of a {what} is {change}."


def _quoted(words: str) -> str:
    return isolated(repr(words))


def _label_words(row: Report) -> str:
    return f"{_quoted(row['label'])}: {row['corrections']:,} of {row['shown']:,} ({100 * row['corrected']:.1f} %)"
