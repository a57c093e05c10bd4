"""The benchmark of label efficiency: peers choose as they do themselves, and random order is counted right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from modAL.batch import uncertainty_batch_sampling
from scipy.sparse import csr_matrix

from benchmarks.labels import Plan, compare, load, measured, table, together, words
from benchmarks.support.askers import peers, ranked_batch
from console.simulate.labelled import EMBEDDINGS, Labelled, split_set
from console.simulate.learning import study
from console.simulate.replay import Moment


def points(n: int = 200) -> Labelled:
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=n)
    vectors = rng.normal(0, 1, (n, 5)) + 2 * np.eye(5)[codes]
    return split_set(
        "points", EMBEDDINGS, "text", [({"text": f"{i}"}, f"{c}", None) for i, c in enumerate(codes)], 0, vectors
    )


def moment(labelled: Labelled) -> Moment:
    learner = study(labelled)
    answered, waiting = labelled.pool[:20], labelled.pool[20:]
    classes, proba = learner.learn(answered, 0)
    return Moment(
        learner, np.sort(waiting), answered, labelled.codes[answered], classes, proba, np.random.default_rng(0)
    )


class Taught:
    """The part of an ActiveLearner that modAL's ranked batch uses."""

    on_transformed = False

    def __init__(self, given: Moment, features: Any) -> None:
        self.X_training = features[given.answered]
        self._proba = given.proba[given.waiting]

    def predict_proba(self, _: Any) -> Any:
        return self._proba


@pytest.mark.parametrize("sparse", [False, True])
def test_the_fast_ranked_batch_makes_the_picks_of_modal(sparse: bool) -> None:
    given = moment(points())
    dense = np.asarray(given.study.features, dtype=np.float64)
    given.study.features = csr_matrix(dense) if sparse else dense
    theirs = uncertainty_batch_sampling(Taught(given, dense), dense[given.waiting], n_instances=12)[0]
    assert list(ranked_batch(given, 12)) == list(given.waiting[theirs])


def test_every_peer_asks_for_waiting_rows_and_for_as_many_as_are_wanted() -> None:
    given = moment(points())
    for name, ask in peers(given.study.features).items():
        chosen = ask(given, 7)
        assert len(set(chosen.tolist())) == 7, name
        assert set(chosen.tolist()) <= set(given.waiting.tolist()), name


def test_the_comparison_counts_labels_for_all_and_names_the_goals() -> None:
    plan = Plan(5, 0.55, 100)
    found = compare(points(400), plan, seeds=2)
    assert {"random", "modAL margin", "scikit-activeml TypiClust"} <= set(found["labels"])
    for needs in found["labels"].values():
        assert all(n is None or (n % 5 == 0 and 5 <= n <= 300) for share in needs.values() for n in share)
    against_random, *against_peers = measured("digits", found)
    assert against_random.goal.limit == 0.45
    assert [row.goal.limit for row in against_peers] == [5, 5], "one batch, at 90 and at 95 %"
    assert not any(row.goal.against in ("random", "margin:0.7") for row in against_peers)
    assert together({"digits": found, "again": found}).values == pytest.approx(against_random.values)
    assert "| random |" in table({"points": found})


def test_a_goal_that_was_not_reached_is_worse_than_any_number() -> None:
    assert words({"0.90": [10, 20, None], "0.95": [None, None, 30]}, 100) == (
        "20 (10 to more than 100) / not within 100 (30 to more than 100)"
    )


@pytest.mark.slow
def test_a_set_whose_files_are_not_there_is_left_out() -> None:
    assert load("banking77", None, None) is None
    assert load("digits", None, None) is not None
