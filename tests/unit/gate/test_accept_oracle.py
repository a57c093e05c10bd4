"""The fixed sequence of exact tests against MAPIE, which tests once.

Ours looks several times, so its first look is compared.
"""

from __future__ import annotations

import numpy as np
from mapie.risk_control.fwer_control import control_fwer
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value

from labelloop.gate.accept import Answers, examine
from labelloop.gate.looks import SIZES, spent

FIRST = SIZES[0]
ALPHA = 0.5
JUST_BELOW = 1e-12
"""MAPIE rounds the number of incorrect answers up, so that 3.0000000000000004 would count as 4."""


def test_the_first_look_certifies_what_mapie_certifies() -> None:
    rng = np.random.default_rng(3)
    lengths = set[int]()
    for _ in range(300):
        error = float(rng.choice([0.3, 0.4, 0.5]))
        confidence = rng.random(FIRST)
        loss = (rng.random(FIRST) < rng.uniform(0.0, 1.0) * (1.0 - confidence)).astype(np.float64)
        row = tuple(np.sort(np.quantile(confidence, [0.6, 0.5, 0.4, 0.25, 0.1, 0.0]))[::-1].tolist())
        found = examine(Answers(confidence, loss, np.arange(FIRST)), row, error, ALPHA)

        above = [confidence >= threshold for threshold in row]
        risks = np.array([loss[rows].mean() for rows in above]) - JUST_BELOW
        counts = np.array([rows.sum() for rows in above], dtype=float)
        p = compute_hoeffding_bentkus_p_value(np.maximum(risks, 0.0), counts, error, binary=True)[:, 0]
        theirs = control_fwer(p, ALPHA * spent(FIRST), fwer_method="fixed_sequence").tolist()

        ours = [place for place, one in enumerate(found.tested) if one.certified]
        assert ours == theirs
        lengths.add(len(ours))
    assert lengths == set(range(len(row) + 1)), "from no threshold to all of them"
