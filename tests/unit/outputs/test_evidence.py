"""Evidence, embeddings and gold: what is read, what is refused and where, and what becomes of it at intake."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop import strategies
from labelloop.errors import InvalidOutput, SpecError
from labelloop.outputs.fitting import check
from labelloop.outputs.output import Output, body_sha256
from labelloop.outputs.reading import parse
from labelloop.queue.lanes import place
from labelloop.reading import strict_json
from labelloop.spec.folder import parse as parse_spec
from labelloop.spec.loop import LoopSpec

GOOD: dict[str, Any] = {"key": "a/1", "data": {"text": "hi"}, "probabilities": {"cat": 0.25, "dog": 0.75}}
EVIDENCE: dict[str, Any] = {
    "committee": [{"cat": 1, "dog": 0}, {"dog": 1}],
    "labels": {"cat": 0.5, "dog": 0.9},
    "tokens": [1, 0.5, {"B": 0.5, "I": 0.5}, [0.25, 0.75]],
    "boxes": [0, 0.25],
    "log_probabilities": [0, -0.5],
    "samples": ["hello", ""],
}


def read(**changes: Any) -> Output:
    return parse(json.dumps({**GOOD, **changes}).encode())


def spec(**queue: Any) -> LoopSpec:
    made = {"name": "x", "trigger": "model_confidence < 0.8", "holdout": 0, "queue": queue}
    return LoopSpec.model_validate(made).with_labels(["cat", "dog"])


@pytest.mark.parametrize("form", EVIDENCE)
def test_each_form_is_read_and_said_again_as_it_was(form: str) -> None:
    output = read(evidence={form: EVIDENCE[form]}, embedding=[1, 0.5], gold="cat")
    assert output.evidence == {form: EVIDENCE[form]}
    assert parse(json.dumps(output.to_json()).encode()) == output
    check(output, spec().config, ["cat", "dog"], embedding=2)


def test_numbers_are_floats_so_that_1_and_1_0_are_one_body() -> None:
    whole = read(evidence={"boxes": [1, 0]}, embedding=[1, 2])
    assert body_sha256(whole) == body_sha256(read(evidence={"boxes": [1.0, 0.0]}, embedding=[1.0, 2.0]))
    others = [read(), read(evidence={"boxes": [1]}), read(embedding=[1]), read(gold="cat"), read(gold="dog")]
    assert len({body_sha256(output) for output in [*others, whole]}) == 6


def test_a_body_without_the_new_fields_keeps_the_hash_that_older_releases_gave_it() -> None:
    assert body_sha256(read()).hex() == "29a7dbe0ce01ed1680530023b2d5ea4f3d5243271bef8bfbc1a62607deffc6e3"
    assert body_sha256(read(evidence=None, embedding=None, gold=None)) == body_sha256(read())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evidence": []}, "evidence: must be an object with one of: committee, labels, tokens, "),
        ({"evidence": {}}, "evidence: must be an object with one of: "),
        ({"evidence": {"boxes": [], "tokens": []}}, "evidence: must be an object with one of: "),
        ({"evidence": {"votes": []}}, "evidence.votes: no such form; there are: committee, "),
        ({"evidence": {"committee": {"cat": 1}}}, "evidence.committee: must be a list of members' probabilities"),
        ({"evidence": {"committee": [{"cat": 1}]}}, "evidence.committee: must be 2 to 100 members' probabilities"),
        ({"evidence": {"committee": [{"cat": 1}, {"cat": 0.5}]}}, "evidence.committee[1]: must sum to 1"),
        ({"evidence": {"committee": [{"cat": 1}, []]}}, "evidence.committee[1]: must be an object"),
        ({"evidence": {"labels": {}}}, "evidence.labels: is empty"),
        ({"evidence": {"labels": {"cat": 1.5}}}, "evidence.labels.cat: must lie between 0 and 1; it is 1.5"),
        ({"evidence": {"labels": {"cat": True}}}, "evidence.labels.cat: must be a number"),
        ({"evidence": {"tokens": 0.5}}, "evidence.tokens: must be a list of tokens"),
        ({"evidence": {"tokens": [0.5, None]}}, "evidence.tokens[1]: must be a number"),
        ({"evidence": {"tokens": [0.5, [0.5, -0.5]]}}, "evidence.tokens[1][1]: must lie between 0 and 1; it is -0.5"),
        ({"evidence": {"tokens": [[]]}}, "evidence.tokens[0]: must sum to 1"),
        ({"evidence": {"tokens": [{"B": 0.5}]}}, "evidence.tokens[0]: must sum to 1"),
        ({"evidence": {"boxes": [0.5, 2]}}, "evidence.boxes[1]: must lie between 0 and 1; it is 2"),
        ({"evidence": {"log_probabilities": [0.5]}}, "evidence.log_probabilities[0]: the logarithm of a probability"),
        ({"evidence": {"samples": ["alone"]}}, "evidence.samples: must be 2 to 20 texts; there are 1"),
        ({"evidence": {"samples": ["a", 1]}}, "evidence.samples[1]: must be a text"),
        ({"embedding": {}}, "embedding: must be a list of numbers"),
        ({"embedding": []}, "embedding: must be 1 to 4096 numbers; there are 0"),
        ({"embedding": [0] * 4097}, "embedding: must be 1 to 4096 numbers; there are 4097"),
        ({"embedding": [0, "1"]}, "embedding[1]: must be a number"),
        ({"embedding": [0, True]}, "embedding[1]: must be a number"),
        ({"embedding": [0, -1e39]}, "embedding[1]: -1e+39 is too large; the limit is 3.40282e+38"),
        ({"gold": ""}, "gold: must be 1 to 1,000,000 characters"),
    ],
)
def test_an_error_is_named_by_its_path(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        read(**changes)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("changes", "width", "said"),
    [
        ({"gold": "cow"}, 0, "gold: no such label 'cow'; there are: cat, dog"),
        ({"evidence": {"labels": {"cow": 1}}}, 0, "evidence.labels.cow: no such label 'cow'; there are: cat, dog"),
        ({"evidence": {"committee": [{"cat": 1}, {"cow": 1}]}}, 0, "evidence.committee[1].cow: no such label 'cow'"),
        ({"embedding": [1, 2]}, 3, "embedding: has 2 numbers; this loop's embeddings have 3 (queue.embedding)"),
        ({}, 3, "embedding: is missing; this loop's embeddings have 3 (queue.embedding)"),
        ({"embedding": [1, 2]}, 0, "embedding: has 2 numbers; this loop takes no embedding (queue.embedding is 0)"),
    ],
)
def test_an_output_must_fit_its_loop(changes: dict[str, Any], width: int, said: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        check(read(**changes), spec().config, ["cat", "dog"], width)
    assert str(caught.value).startswith(said)


def test_a_tokens_labels_are_its_own() -> None:
    check(read(evidence={"tokens": [{"B-PER": 1}]}), spec().config, ["cat", "dog"])


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9), st.text("a")
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)),
    max_leaves=8,
)


@given(st.sampled_from([*EVIDENCE, "other"]), JSON)
def test_any_evidence_is_refused_or_read_by_every_strategy_of_its_form(form: str, value: Any) -> None:
    try:
        output = read(evidence={form: value})
    except InvalidOutput:
        return
    assert output.evidence is not None
    for name, known in strategies.REGISTRY.items():
        found = strategies.from_evidence(name, output.evidence)
        assert (found is not None and 0 <= found <= 1) == (known.reads == f"evidence.{form}")


def test_arrays_of_numpy_are_handed_in_as_they_are() -> None:
    output = Output("a", {"text": "x"}, {"cat": 1.0}, embedding=np.array([0.5, 1], dtype=np.float32))  # type: ignore[arg-type]
    assert parse(strict_json.dumps(output.to_json()).encode()).embedding == [0.5, 1]


# -- at intake ---------------------------------------------------------------------------------------------------


def utility(strategy: str, **changes: Any) -> float | None:
    placed = place(read(**{"probabilities": {"cat": 0.4, "dog": 0.6}, **changes}), spec(strategy=strategy))
    assert placed.lane == "rule"
    return placed.utility


def test_the_loops_strategy_reads_the_evidence_of_its_kind() -> None:
    assert utility("boxes_max", evidence={"boxes": [0.9, 0.5]}) == 1
    assert utility("max_disagreement", evidence={"committee": EVIDENCE["committee"]}) == pytest.approx(1)
    assert utility("tokens_max", evidence={"tokens": EVIDENCE["tokens"]}) == 0.5


def test_without_the_evidence_it_reads_the_margin_of_the_probabilities_or_the_confidence() -> None:
    for evidence in (None, {"boxes": [0.5]}):
        assert utility("vote_entropy", evidence=evidence) == pytest.approx(0.8)
        assert utility("entropy", evidence=evidence) == pytest.approx(strategies.entropy(np.array([[0.4, 0.6]]))[0])
        assert utility("vote_entropy", evidence=evidence, probabilities=None, label="cat", confidence=0.25) == 0.75


@given(st.dictionaries(st.sampled_from("abcdef"), st.floats(0.001, 1), min_size=1))
def test_one_output_has_the_utility_that_its_row_has_among_others(weights: dict[str, float]) -> None:
    total = math.fsum(weights.values())
    proba = {label: weight / total for label, weight in weights.items()}
    row = np.array([[proba.get(label, 0.0) for label in "abcdef"]])
    for name in strategies.STRATEGIES:
        made = {"name": "x", "trigger": "model_confidence <= 1", "holdout": 0, "queue": {"strategy": name}}
        loop = LoopSpec.model_validate(made).with_labels(list("abcdef"))
        placed = place(read(probabilities=proba), loop)
        assert placed.utility == pytest.approx(strategies.utilities(name, row)[0], abs=1e-12)


def test_loop_yaml_takes_every_strategy_and_names_them_all_where_it_has_another() -> None:
    for name in strategies.names():
        text = f"feedback_loop: {{trigger: margin < 0.5, labels: [a, b], queue: {{strategy: {name}}}}}"
        assert parse_spec("x", text).queue.strategy == name
    with pytest.raises(
        SpecError, match=r"no query strategy 'boxes' .*; there are: .*boxes_max, boxes_mean, boxes_sum, "
    ):
        parse_spec("x", "feedback_loop: {trigger: margin < 0.5, labels: [a, b], queue: {strategy: boxes}}")
