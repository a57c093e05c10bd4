"""Predictions of the loop's learner for items that people answered, by models that were not trained on the answers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from labelloop.answers.dawid_skene import Floats
from labelloop.store.database import Conn
from labelloop.versions.version import PIPELINE


def spoken(conn: Conn, loop: str, output_ids: Sequence[UUID], labels: Sequence[str]) -> dict[UUID, Floats]:
    """Return the learner's probability of each label, shape (n_labels,), for those of the outputs that it may judge.

    If the newest trained run had the answer in its training set, it is the out-of-fold prediction. Otherwise it is the
    prediction of the champion that the task shows. At most two probabilities are stored, and the other labels share
    the rest. Items without such a prediction are left out. So are gold, hold-out items and items that chance chose,
    because their answers judge the learner.
    """
    rows = conn.execute(
        """
        select o.id, i.output_id is not null as trained, i.label, i.out_of_fold_probability as of_label,
            i.out_of_fold_other as other, i.out_of_fold_other_probability as of_other,
            case when t.champion <> %(pipeline)s then t.label end as shown, t.confidence
        from outputs o left join tasks t on t.output_id = o.id
        left join run_items i on i.output_id = o.id and i.part = 'train' and i.run_id = (
            select id from retrain_runs where loop = %(loop)s and version_id is not null
            order by feedback_upto desc, requested_at desc limit 1)
        where o.id = any(%(ids)s) and o.lane = 'rule' and not o.holdout
        """,
        {"loop": loop, "ids": list(output_ids), "pipeline": PIPELINE},
    )
    found = {}
    for row in rows:
        if row["trained"]:
            said = {row["label"]: row["of_label"], row["other"]: row["of_other"]}
        else:
            said = {row["shown"]: row["confidence"]}
        known = {label: share for label, share in said.items() if label in labels and share is not None}
        if known:
            found[row["id"]] = spread(known, labels)
    return found


def spread(known: dict[str, float], labels: Sequence[str]) -> Floats:
    """Return these probabilities in the order of `labels`; the others share what is left of 1."""
    rest = max(0.0, 1 - sum(known.values())) / max(1, len(labels) - len(known))
    shares = np.array([known.get(label, rest) for label in labels])
    return np.asarray(shares / shares.sum())
