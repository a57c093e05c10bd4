"""Drifted: find what has drifted since the champion was judged, and say it as the reason for a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from labelloop.answers.item_scores import item_score
from labelloop.labeling.controls import Kind
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.questions import drift as drift_store
from labelloop.store.questions import falls as falls_store
from labelloop.store.questions import new_answers
from labelloop.store.questions.drift import Arrivals
from labelloop.store.questions.falls import Answered
from labelloop.store.tables import runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.bursts import Part
from labelloop.versions.drift import Shift, shift, words
from labelloop.versions.falls import CHANCE_OF_A_LOOP, Findable, Scored, chance_of, fall, findable
from labelloop.versions.version import PIPELINE, short

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def drifted(conn: Conn, spec: LoopSpec, level: float) -> str | None:
    """Return the reason for a run: what has drifted since the champion was judged; None if nothing has.

    `level`: smallest population stability index that counts.
    """
    return _inputs(conn, spec, level) or _accuracy(conn, spec)


@dataclass(frozen=True, slots=True)
class Watch:
    """The accuracy from which a fall is measured."""

    champion: str | None
    """Short name of the version; None for the pipeline's own outputs."""
    cut: int
    """Answers after this one may show a fall."""
    before: list[Scored]
    """The answers that it was judged on."""
    strata_known: bool
    chance: float
    """Probability of a false alarm while it is champion."""

    @property
    def accuracy(self) -> float | None:
        """Accuracy, or mean item score, when it was judged; None if there were no answers."""
        return math.fsum(one.item_score for one in self.before) / len(self.before) if self.before else None

    @property
    def findable(self) -> Findable | None:
        """The smallest fall that would be found in reasonable time; None if no fall would."""
        return findable(self.before, self.chance)


def watch(conn: Conn, spec: LoopSpec) -> Watch | None:
    """Return what the champion's accuracy is compared with; None if it was not judged."""
    champion = version_store.champion(conn, spec.name)
    champion_id = None if champion is None else champion.id
    run = falls_store.judged_by(conn, spec.name, champion_id)
    if run is None:
        return None
    then = falls_store.answers_then(conn, run, challenger=champion_id is not None)
    # Answers that were stored before the trigger's decision was known are one stratum, and so are those after them.
    strata_known = all(row.triggered is not None for row in then)
    judged = 1 if champion_id is None else falls_store.versions_judged(conn, run)
    return Watch(
        None if champion_id is None else short(champion_id),
        falls_store.newest_answer(conn, run),
        scored(spec, then, strata_known),
        strata_known,
        chance_of(version_store.epoch(conn, spec.name), judged),
    )


def scored(spec: LoopSpec, rows: Sequence[Answered], strata_known: bool) -> list[Scored]:
    """Score the predictions, one entry for each group of a stratum, at the place of the group's first answer.

    `strata_known`: whether held-out answers are compared by the trigger's decision too.
    """
    groups: dict[tuple[str, str], list[Answered]] = {}
    for row in rows:
        triggered = None if row.holdout and not strata_known else row.triggered
        stratum = "hold-out" if triggered is None else "triggered" if triggered else "not triggered"
        groups.setdefault((stratum, row.group_key), []).append(row)
    return [
        Scored(
            stratum,
            sum(item_score(spec.config, row.answer, row.predicted) for row in group) / len(group),
            group[0].received_at.isoformat(),
        )
        for (stratum, _), group in groups.items()
    ]


def _accuracy(conn: Conn, spec: LoopSpec) -> str | None:
    watched = watch(conn, spec)
    if watched is None:
        return None
    since = falls_store.answers_since(conn, spec.name, watched.champion, watched.cut)
    found = fall(watched.before, scored(spec, since, watched.strata_known), watched.chance)
    if found is None:
        return None
    who = f"the {PIPELINE}'s outputs were" if watched.champion is None else f"champion {watched.champion} was"
    return (
        f"drift: {who} correct on {found.recent[0]:.4g} of the last {found.recent[1]} answers that chance chose, "
        f"before on {found.before[0]:.4g} of {found.before[1]} "
        f"(chance alone would do this in less than {100 * CHANCE_OF_A_LOOP:g} of 100 loops)"
    )


def _inputs(conn: Conn, spec: LoopSpec, level: float) -> str | None:
    """Return a reason if the outputs since the last run differ from those at the time the champion was evaluated."""
    champion = version_store.champion(conn, spec.name)
    then = runs.judged(conn, spec.name, None if champion is None else champion.id)
    since = new_answers.counted_since(conn, spec.name)
    if then is None or since is None or then.started_at is None:
        return None
    rows = drift_store.arrivals(conn, spec.name, then.started_at, since)
    for what, moved in (("the labels", label_shift(spec, rows)), ("the confidences", confidence_shift(rows))):
        if why := words(what, moved, level):
            return why
    return None


def label_shift(spec: LoopSpec, rows: Sequence[Arrivals]) -> Shift | None:
    """Return how far the labels have moved; None for spans and numbers, of which nearly every output has its own."""
    if spec.config.kind not in (Kind.LABEL, Kind.LABELS):
        return None
    return _shift([(row, row.label) for row in rows if row.label is not None])


def confidence_shift(rows: Sequence[Arrivals]) -> Shift | None:
    """Return how far the confidences have moved, by tenths."""
    return _shift(
        [
            (row, f"confidence {(row.tenth - 1) / 10:.1f} to {row.tenth / 10:.1f}")
            for row in rows
            if row.tenth is not None
        ]
    )


def _shift(rows: Sequence[tuple[Arrivals, str]]) -> Shift | None:
    cells = sorted({cell for _, cell in rows})
    if not cells:
        return None
    before, recent = (_part([one for one in rows if one[0].recent is side], cells) for side in (False, True))
    return shift(cells, before, recent)


def _part(rows: Sequence[tuple[Arrivals, str]], cells: Sequence[str]) -> Part:
    """Return one side's outputs by piece of time and by group."""
    column = {cell: i for i, cell in enumerate(cells)}
    pieces = sorted({row.began for row, _ in rows if row.began is not None})
    place: dict[Any, int] = {began: i for i, began in enumerate(pieces)}
    by_piece, by_bucket = np.zeros((len(pieces), len(cells))), np.zeros((drift_store.BUCKETS, len(cells)))
    for row, cell in rows:
        if row.began is not None:
            by_piece[place[row.began], column[cell]] += row.n
        elif row.bucket is not None:
            by_bucket[row.bucket, column[cell]] += row.n
    return Part(by_piece, np.array([(began - _EPOCH).days for began in pieces], dtype=np.intp), by_bucket)
