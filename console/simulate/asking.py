"""The choice of each variant's next batch, with the product's own utilities and selection."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from console.simulate.labelled import EMBEDDINGS, Labelled
from console.simulate.learning import Codes
from console.simulate.options import Variant
from console.simulate.replay import Ask, Moment
from labelloop import selection, strategies
from labelloop.queue.order import RECENT
from labelloop.selection import features
from labelloop.selection.features import Features
from labelloop.selection.select import Candidate


def asker(variant: Variant, labelled: Labelled) -> Ask:
    """Return a function that chooses the next batch as push does with an empty window.

    The candidates are the best by utility, enough of them that n belong to different groups.
    """

    def ask(moment: Moment, n: int) -> Codes:
        utilities = strategies.utilities(variant.strategy, moment.proba[moment.waiting], moment.rng)
        recent = moment.answered[-RECENT:]
        if variant.diversity == 0:
            return moment.waiting[strategies.top_k(utilities, n)]
        for wide in (selection.reach(n, variant.diversity), selection.MOST):
            best = strategies.top_k(utilities, wide)
            rows = moment.waiting[best]
            known, seen = _features(labelled, rows, recent)
            if known is None or len(best) == len(utilities) or _unlike(known, seen) >= n:
                break
        candidates = [
            Candidate(UUID(int=int(row)), f"{row:09d}", float(utility))
            for row, utility in zip(rows, utilities[best], strict=True)
        ]
        picks = selection.select(candidates, n, diversity=variant.diversity, features=known, recent=seen)
        return np.array([pick.output_id.int for pick in picks], dtype=np.intp)

    return ask


def _features(labelled: Labelled, *parts: Codes) -> Sequence[Features | None]:
    rows = np.concatenate(parts)
    vectors = None if labelled.embeddings is None else list(labelled.embeddings[rows])
    learner = "text" if labelled.learner == EMBEDDINGS else labelled.learner
    known = features.read(learner, labelled.field, [labelled.data[row] for row in rows], vectors)
    return features.split(known, *map(len, parts))


def _unlike(known: Features, seen: Features | None) -> int:
    return len({*known.groups.tolist()} - {*([] if seen is None else seen.groups.tolist())})
