"""CROWDLAB against stored results of cleanlab."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from labelloop.answers.crowdlab import LEAST_ITEMS, weights

STORED = json.loads((Path(__file__).parent / "crowd_oracles.json").read_text())["crowdlab"]
ITEM, PERSON, LABEL = (np.array(STORED[column]) for column in ("item", "person", "label"))
LEARNER = np.array(STORED["learner"])


def test_weights_and_posteriors_are_cleanlabs() -> None:
    found = weights(ITEM, PERSON, LABEL, LEARNER, 5)
    assert found is not None
    assert found.learner == pytest.approx(STORED["model_weight"], abs=1e-9)
    assert found.people == pytest.approx(STORED["annotator_weight"], abs=1e-9)
    for i in range(len(LEARNER)):
        said = [
            (float(found.people[p]), int(label)) for p, label in zip(PERSON[i == ITEM], LABEL[i == ITEM], strict=True)
        ]
        posterior = found.posterior(said, LEARNER[i])
        assert posterior == pytest.approx(STORED["posterior"][i], abs=2e-6)
        assert posterior.argmax() == STORED["consensus"][i]


def test_a_few_items_give_no_weights() -> None:
    few = np.isin(ITEM, np.arange(LEAST_ITEMS - 1))
    assert weights(ITEM[few], PERSON[few], LABEL[few], LEARNER[: LEAST_ITEMS - 1], 5) is None


def test_a_learner_that_is_no_better_than_the_commonest_label_weighs_next_to_nothing() -> None:
    useless = np.roll(np.eye(3)[LABEL[np.unique(ITEM, return_index=True)[1]]], 1, axis=1) * 0.8 + 0.2 / 3
    found = weights(ITEM, PERSON, LABEL, useless, 5)
    assert found is not None
    assert found.learner < 1e-5
