"""Query strategies for evidence beyond one row of probabilities; modAL is the oracle for each measure it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from modAL import disagreement, multilabel
from scipy.stats import entropy

from console.cli import main
from labelloop import strategies
from labelloop.errors import UsageError
from labelloop.strategies import REGISTRY, Array, Kind, expected_error, from_evidence
from labelloop.strategies.arrays import BLOCK

EXACT: dict[str, Any] = {"rtol": 0, "atol": 1e-12}
share = st.floats(0, 1, allow_subnormal=False)


def ask(name: str, what: Any) -> Array:
    return REGISTRY[name].function(what)


class Committee:
    """modAL's view of members whose probabilities are given, shape (n_samples, n_members, n_classes)."""

    def __init__(self, proba: Array) -> None:
        self.proba = proba
        self.classes_ = np.arange(proba.shape[2])

    def __len__(self) -> int:
        return int(self.proba.shape[1])

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def vote(self, _: Any) -> Array:
        return np.asarray(self.proba.argmax(axis=2))

    def vote_proba(self, _: Any) -> Array:
        return self.proba

    def predict_proba(self, _: Any) -> Array:
        return np.asarray(self.proba.mean(axis=1))


@st.composite
def committees(draw: st.DrawFn) -> Array:
    shape = draw(st.tuples(st.integers(1, 5), st.integers(2, 5), st.integers(2, 5)))
    weights = draw(arrays(np.float64, shape, elements=share))
    weights[..., 0] += weights.sum(axis=-1) == 0
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def held_to_modal(proba: Array) -> None:
    _, members, classes = proba.shape
    oracle, x = Committee(proba), np.empty((len(proba), 0))
    votes = disagreement.vote_entropy(oracle, x) / np.log(min(members, classes))
    np.testing.assert_allclose(ask("vote_entropy", proba), votes, **EXACT)
    consensus = disagreement.consensus_entropy(oracle, x) / np.log(classes)
    np.testing.assert_allclose(ask("consensus_entropy", proba), consensus, **EXACT)
    divergence = disagreement.KL_max_disagreement(oracle, x) / np.log(members)
    np.testing.assert_allclose(ask("max_disagreement", proba), divergence, **EXACT)


@given(committees())
def test_committees_are_measured_as_modal_measures_them(proba: Array) -> None:
    held_to_modal(proba)


def test_so_are_committees_across_the_ends_of_blocks() -> None:
    held_to_modal(np.random.default_rng(0).dirichlet(np.full(10, 0.2), (2 * BLOCK // 30 + 5, 3)))


@given(committees())
def test_members_who_agree_do_not_disagree_and_nothing_leaves_the_interval(proba: Array) -> None:
    same = np.repeat(proba[:, :1], 3, axis=1)
    np.testing.assert_allclose(ask("max_disagreement", same), 0, **EXACT)
    np.testing.assert_allclose(ask("vote_entropy", same), 0, **EXACT)
    for name in ("vote_entropy", "consensus_entropy", "max_disagreement"):
        found = ask(name, proba)
        assert found.min() >= -1e-12
        assert found.max() <= 1 + 1e-12
        assert np.array_equal(ask(name, proba[::-1]), found[::-1])


def test_members_who_differ_in_all_disagree_fully() -> None:
    opposed = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    for name in ("vote_entropy", "consensus_entropy", "max_disagreement"):
        np.testing.assert_allclose(ask(name, opposed), [1], **EXACT)
        assert ask(name, np.ones((2, 3, 1))).tolist() == [0, 0]


# -- several labels ----------------------------------------------------------------------------------------------


class OneVsRest:
    """modAL's view of independent probabilities: the input is what it predicts."""

    def __init__(self, labels: int) -> None:
        self.classes_ = np.arange(labels)

    def predict_proba(self, proba: Array) -> Array:
        return proba

    def predict(self, proba: Array) -> Array:
        return np.asarray((proba > 0.5).astype(np.float64))


def modal_values(name: str, proba: Array) -> Array:
    """modAL's value for each row: its strategies choose the best rows, and say the values of those."""
    at, values = getattr(multilabel, name)(OneVsRest(proba.shape[1]), proba, n_instances=len(proba))
    found = np.empty(len(proba))
    found[at] = values
    return found


@given(arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=share))
def test_several_labels_are_measured_as_modal_measures_them(proba: Array) -> None:
    labels = proba.shape[1]
    largest = max(modal_values("mean_max_loss", np.tri(labels + 1, labels, -1)))
    same = {
        "min_confidence": 1 - modal_values("min_confidence", proba),
        "avg_confidence": modal_values("avg_confidence", proba),
        "max_score": (modal_values("max_score", proba) + 0.25) / 0.75,
        "avg_score": (modal_values("avg_score", proba) + 0.25) / 0.75,
        "max_loss": modal_values("max_loss", proba) / (2 * labels),
        "mean_max_loss": modal_values("mean_max_loss", proba) / largest,
    }
    for name, values in same.items():
        np.testing.assert_allclose(ask(name, proba), values, **EXACT)


@given(arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=share))
def test_several_labels_stay_in_the_interval_and_do_not_know_their_order(proba: Array) -> None:
    for name in (name for name, known in REGISTRY.items() if known.kind is Kind.MULTILABEL):
        found = ask(name, proba)
        assert 0 <= found.min() <= found.max() <= 1
        np.testing.assert_allclose(ask(name, proba[:, ::-1]), found, **EXACT)


def test_doubt_about_labels_by_hand() -> None:
    proba = np.array([[0.5, 1.0], [0.0, 1.0], [0.25, 0.75]])
    assert ask("labels_max", proba).tolist() == [1, 0, 0.5]
    assert ask("labels_mean", proba).tolist() == [0.5, 0, 0.5]


# -- lists of numbers --------------------------------------------------------------------------------------------

lists = st.lists(st.lists(share, max_size=5), max_size=5)


@given(lists)
def test_tokens_and_boxes_of_any_number_are_measured_list_by_list(rows: list[list[float]]) -> None:
    def each(one: Any) -> list[float]:
        return [float(one(np.array(row))) if row else 0.0 for row in rows]

    logs = [np.log(np.maximum(row, 1e-300)) for row in rows]
    same = {
        "tokens_max": (rows, each(lambda p: 1 - p.min())),
        "tokens_mean": (rows, each(lambda p: 1 - p.mean())),
        "tokens_normalised": (rows, each(lambda p: 1 - np.prod(p ** (1 / len(p))))),
        "boxes_max": (rows, each(lambda s: (1 - abs(2 * s - 1)).max())),
        "boxes_mean": (rows, each(lambda s: (1 - abs(2 * s - 1)).mean())),
        "boxes_sum": (rows, each(lambda s: min(1, (1 - abs(2 * s - 1)).sum() / 10))),
        "log_probability_mean": (logs, each(lambda p: 1 - np.exp(np.log(np.maximum(p, 1e-300)).mean()))),
        "log_probability_min": (logs, each(lambda p: 1 - p.min())),
    }
    for name, (given_, values) in same.items():
        found = ask(name, given_)
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-9)
        assert all(0 <= utility <= 1 for utility in found)


def test_texts_disagree_by_the_words_that_they_do_not_share() -> None:
    assert ask("samples_disagree", [["a b", "B  a"], ["a", "b"], ["a b", "a c"], ["alone"], [], ["", ""]]).tolist() == [
        0, 1, 0.5, 0, 0, 0
    ]  # fmt: skip
    np.testing.assert_allclose(ask("samples_disagree", [["a", "a", "b"]]), [2 / 3])


@given(st.lists(st.text("ab ", max_size=6), max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_texts_makes_no_difference(texts: list[str], random: Any) -> None:
    shuffled = random.sample(texts, len(texts))
    found = ask("samples_disagree", [texts, shuffled])
    np.testing.assert_allclose(found[0], found[1], **EXACT)
    assert 0 <= found[0] <= 1


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("tokens_max", [[0.5], [0.5, np.nan]], "a token's confidence must lie between 0 and 1; there is nan"),
        ("tokens_mean", [[1.5]], "there is 1.5"),
        ("tokens_normalised", [[[0.5]]], r"row 0 must be a list of numbers; its shape is \(1, 1\)"),
        ("boxes_sum", [[-0.1]], "the confidence of a box must lie between 0 and 1; there is -0.1"),
        ("log_probability_mean", [[0.1]], "a token's log-probability must lie between -inf and 0; there is 0.1"),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, what: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ask(name, what)


# -- expected error ----------------------------------------------------------------------------------------------


def test_the_expected_error_is_that_of_a_sum_over_the_answers() -> None:
    rng = np.random.default_rng(0)
    now, after = rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), (4, 3, 6))
    losses = {"log": entropy(after, axis=-1) / np.log(3), "binary": (1 - after.max(axis=-1)) * 1.5}
    for loss, of in losses.items():
        by_hand = 1 - (now * of.mean(axis=2)).sum(axis=1)
        np.testing.assert_allclose(expected_error(now, after, loss=loss), by_hand, **EXACT)  # type: ignore[arg-type]
        fitted = expected_error(now, lambda i, y: after[i, y], loss=loss)  # type: ignore[arg-type]
        np.testing.assert_allclose(fitted, by_hand, **EXACT)


def test_the_answer_that_settles_the_rest_is_the_most_useful() -> None:
    now = np.full((2, 2), 0.5)
    sure, unsure = [[[1.0, 0.0]] * 3] * 2, [[[0.5, 0.5]] * 3] * 2
    assert expected_error(now, [sure, unsure]).tolist() == [1, 0]
    assert expected_error(np.ones((2, 1)), lambda i, y: np.ones((3, 1))).tolist() == [0, 0]


def test_more_fits_than_one_can_wait_for_are_refused_before_the_first() -> None:
    with pytest.raises(UsageError, match=r"500 candidates and 77 classes takes 38500 fits; .* the 25 best by margin"):
        expected_error(np.full((500, 77), 1 / 77), lambda i, y: pytest.fail("fitted"))
    with pytest.raises(ValueError, match=r"posteriors must have the shape \(2, 2, n_rest, 2\)"):
        expected_error(np.full((2, 2), 0.5), np.full((2, 3), 1 / 3))


# -- one output's evidence ---------------------------------------------------------------------------------------

EVIDENCE: dict[str, dict[str, Any]] = {
    "committee": {"committee": [{"cat": 1.0}, {"dog": 1.0}]},
    "labels": {"labels": {"cat": 0.5, "dog": 0.75}},
    "tokens": {"tokens": [0.75, {"a": 0.5, "b": 0.25, "c": 0.25}, [0.1, 0.9]]},
    "boxes": {"boxes": [0.9, 0.5]},
    "log_probabilities": {"log_probabilities": [0.0, -1.0]},
    "samples": {"samples": ["a b", "a c"]},
}


def test_every_strategy_reads_the_evidence_of_its_kind_and_no_other() -> None:
    for name, known in REGISTRY.items():
        for field, evidence in EVIDENCE.items():
            found = from_evidence(name, evidence, ("cat", "dog"))
            if known.reads == f"evidence.{field}":
                assert found is not None
                assert 0 <= found <= 1
            else:
                assert found is None
        assert strategies.reads_probabilities(name) == (known.kind in (Kind.PROBA, Kind.RANDOM))


def test_evidence_by_hand() -> None:
    found = {name: from_evidence(name, {k: v for e in EVIDENCE.values() for k, v in e.items()}) for name in REGISTRY}
    assert found["vote_entropy"] == found["max_disagreement"] == found["labels_max"] == found["boxes_max"] == 1
    assert found["labels_mean"] == 0.75
    assert found["tokens_max"] == 0.5
    assert found["tokens_mean"] == pytest.approx((0.25 + 0.5 + 0.1) / 3)
    assert found["boxes_sum"] == pytest.approx(0.12)
    assert found["log_probability_mean"] == pytest.approx(1 - np.exp(-0.5))
    assert found["samples_disagree"] == 0.5
    # A label of the loop that nobody named has 0, so the scale is the loop's.
    three = from_evidence("consensus_entropy", EVIDENCE["committee"], ("cat", "cow", "dog"))
    assert three == pytest.approx(np.log(2) / np.log(3))


def test_every_strategy_has_a_name_a_kind_and_a_line_of_its_own() -> None:
    lines = [known.line for known in REGISTRY.values()]
    assert len(set(lines)) == len(lines)
    assert all(10 < len(line) <= 46 and not line.endswith(".") for line in lines)
    assert strategies.names() == list(REGISTRY)


def test_the_command_line_lists_them_all() -> None:
    listed = json.loads(CliRunner().invoke(main, ["strategies", "--json"]).stdout)
    assert [one["name"] for one in listed] == strategies.names()
    assert listed[0] == {
        "name": "least_confidence",
        "kind": "proba",
        "reads": "probabilities",
        "line": "the most probable label is improbable",
    }
    lines = CliRunner().invoke(main, ["strategies"]).stdout.splitlines()
    assert len(lines) == len(listed) + 1, "one line each, in 80 columns"
