"""Outputs and loops whose answers are no single labels: what is taken in, what is refused, and how they are ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from backend import models
from backend.learners import make
from backend.learners.predictions import Predictions
from backend.score.doubts import doubts
from backend.score.scoring import Chunk, Pair, score_chunk
from labelloop import strategies
from labelloop.errors import InvalidOutput, SpecError
from labelloop.outputs.fitting import check
from labelloop.outputs.output import Output, body_sha256
from labelloop.outputs.reading import from_json
from labelloop.queue.lanes import place, reason_for
from labelloop.reading.strict_json import dumps
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.versions.version import VersionPair
from tests.support.data.structured_data import complaints, letters, stars

BASE = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  holdout: 0.0\n'
TAGS = {
    "labels": '<Choices name="label" toName="t" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>',
    "spans": '<Labels name="label" toName="t"><Label value="person"/></Labels>',
    "rating": '<Rating name="label" toName="t"/>',
    "label": '<Choices name="label" toName="t"><Choice value="a"/><Choice value="b"/></Choices>',
}


def spec_of(tag: str, yaml: str = BASE) -> LoopSpec:
    xml = f'<View><Text name="title" value="$title"/><Text name="t" value="$text"/>{TAGS[tag]}</View>'
    return parse("x", yaml, xml)


def taken_in(tag: str, **said: Any) -> Output:
    value = {"key": "k", "data": {"title": "T", "text": "Anna 😀"}, **said}
    spec = spec_of(tag)
    return check(from_json(value), spec.config, spec.labels)


@pytest.mark.parametrize(
    ("tag", "said", "label", "confidence"),
    [
        ("labels", {"label": ["b", "a"], "confidence": 0.5}, '["a","b"]', 0.5),
        ("labels", {"label": '["b"]'}, '["b"]', None),
        ("labels", {"evidence": {"labels": {"a": 0.9, "b": 0.25}}}, '["a"]', pytest.approx(0.9 * 0.75)),
        ("labels", {"label": []}, "[]", None),
        ("spans", {"label": [[0, 4, "person"]], "confidence": 0.5}, '[[0,4,"person"]]', 0.5),
        ("spans", {"label": "[]"}, "[]", None),
        ("rating", {"label": 3.5, "confidence": 0.5}, "3.5", 0.5),
        ("rating", {"label": "4.0"}, "4", None),
        (
            "rating",
            {
                "result": [{"from_name": "label", "to_name": "t", "type": "rating", "value": {"rating": 2}}],
                "score": 0.5,
            },
            "2",
            0.5,
        ),
    ],
)
def test_an_answer_is_taken_in_as_a_text_or_as_json(tag: str, said: Any, label: str, confidence: Any) -> None:
    found = place(taken_in(tag, **said), spec_of(tag))
    assert (found.label, found.confidence) == (label, confidence)


@pytest.mark.parametrize(
    ("tag", "said", "words"),
    [
        (
            "labels",
            {"probabilities": {"a": 0.5, "b": 0.5}},
            "probabilities: are for one label, and the answer here is several",
        ),
        ("spans", {"probabilities": {"person": 1.0}}, "send label with confidence, or result with score"),
        ("labels", {"label": ["a", "cow"]}, "label: no such label 'cow'; there are: a, b"),
        ("labels", {"label": "a"}, "label: must be a list of labels, such as"),
        ("labels", {"label": True}, "label: must be a list of labels"),
        ("labels", {}, "label: is missing; give a label"),
        ("labels", {"evidence": {"tokens": [0.5]}}, "label: is missing; give a label"),
        ("labels", {"label": ["a"], "gold": ["cow"]}, "gold: no such label 'cow'"),
        ("spans", {"label": [[2, 7, "person"]]}, "label: a span ends at 7; the text has 6 characters"),
        ("rating", {"label": 7}, "label: must lie between 1 and 5; it is 7"),
        ("label", {"label": ["a"]}, "label: must be a text"),
        ("label", {"label": 1}, "label: no such label '1'; there are: a, b"),
        ("label", {"evidence": {"labels": {"a": 0.5}}}, "label: is missing; give a label"),
        ("label", {"label": "a", "gold": 1}, "gold: no such label"),
    ],
)
def test_an_answer_of_another_kind_is_refused_by_its_path(tag: str, said: Any, words: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        taken_in(tag, **said)
    assert words in str(caught.value)


def test_the_same_answer_written_otherwise_is_the_same_body() -> None:
    assert body_sha256(taken_in("labels", label=["b", "a"])) == body_sha256(taken_in("labels", label='["a", "b"]'))
    assert body_sha256(taken_in("rating", label=4)) == body_sha256(taken_in("rating", label="4.0"))
    assert taken_in("spans", label="[]", gold=[[0, 4, "person"]]).gold == '[[0,4,"person"]]'


@pytest.mark.parametrize(
    ("tag", "learner", "field"),
    [("labels", "multilabel", None), ("spans", "spans", "text"), ("rating", "numbers", None), ("label", "auto", None)],
)
def test_a_loop_has_the_learner_of_its_kind_of_answer(tag: str, learner: str, field: str | None) -> None:
    spec = spec_of(tag)
    assert (spec.learner.name, spec.learner.field) == (learner, field)
    assert LoopSpec.from_json(spec.to_json()) == spec
    assert spec_of(tag, BASE + f"  learner: {{name: {learner}, field: text}}\n").learner.field == "text"
    assert spec_of(tag, BASE + "  learner: {name: my-own}\n").learner.name == "my-own"


@pytest.mark.parametrize(
    ("tag", "yaml", "line", "column", "words"),
    [
        (
            "spans",
            BASE + "  learner:\n    name: text\n",
            5,
            11,
            "'text' predicts one label, and Labels 'label' of labels.xml",
        ),
        ("spans", BASE + "  learner:\n    name: sklearn.svm.SVC\n", 5, 11, "takes spans: 'spans' does"),
        ("label", BASE + "  learner: {name: spans}\n", 4, 19, "'spans' predicts spans, and Choices 'label'"),
        ("labels", BASE + "  learner: {name: numbers}\n", 4, 19, "takes several labels: 'multilabel' does"),
        ("spans", BASE + "  learner: {field: title}\n", 4, 20, "spans are marked in 'text', not in 'title'"),
        ("rating", BASE + "  labels: [a, b]\n", 4, 11, "the answer is a number (Rating in labels.xml)"),
        (
            "spans",
            "feedback_loop:\n  trigger: margin < 0.5\n",
            2,
            12,
            "margin needs one label, and the answer is spans",
        ),
        ("rating", BASE + "  tolerance: -1\n", 4, 14, "tolerance: should be greater than or equal to 0"),
    ],
)
def test_what_does_not_fit_the_kind_of_answer_is_named_by_its_place(
    tag: str, yaml: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(tag, yaml)
    assert words in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_one_label_is_enough_where_it_may_apply_or_not_and_none_of_a_choice() -> None:
    assert spec_of("spans").labels == ("person",)
    one = '<View><Text name="t" value="$text"/><Choices name="label" toName="t"><Choice value="a"/></Choices></View>'
    with pytest.raises(SpecError, match="with one label there is nothing to choose"):
        parse("x", BASE, one)


# -- ranking ---------------------------------------------------------------------------------------------------------


def ranked(folder: Path, name: str, items: Any, strategy: str) -> tuple[list[Any], list[Any], Predictions]:
    """Utilities and whys of nine items, by a version that was taught others; and what it says of them."""
    data, answers = items()
    ranker = make(name, {"field": "item"}).fit(data[10:], answers[10:], np.random.default_rng(0))
    version = models.store(folder, "x", ranker).id
    file = np.frombuffer(models.verify(folder, version), np.uint8)
    chunk = Chunk([uuid4() for _ in range(10)], [dumps(one) for one in data[:10]], [False] * 10, [True] * 9 + [False])
    scores = score_chunk(Pair(None, version, VersionPair.of(None, version), strategy), None, file, chunk)
    assert (scores.utilities[9], scores.whys[9]) == (None, None)
    assert scores.labels == [None] * 10
    return scores.utilities[:9], scores.whys[:9], ranker.predict(data[:9])


@pytest.mark.parametrize(
    ("learner", "items", "strategy", "words"),
    [
        ("multilabel", complaints, "labels_max", "The model is "),
        ("multilabel", complaints, "max_loss", "The model is "),
        ("spans", letters, "tokens_max", "The model "),
        ("spans", letters, "tokens_normalised", "The model "),
    ],
)
def test_our_own_evidence_ranks_by_the_strategy_that_reads_it(
    tmp_path: Path, learner: str, items: Any, strategy: str, words: str
) -> None:
    utilities, whys, said = ranked(tmp_path, learner, items, strategy)
    assert said.evidence is not None
    assert utilities == [strategies.from_evidence(strategy, dict(one)) for one in said.evidence]
    assert all(why.startswith(words) for why in whys)


@pytest.mark.parametrize(("learner", "items"), [("multilabel", complaints), ("spans", letters), ("numbers", stars)])
@pytest.mark.parametrize("strategy", ["margin", "entropy"])
def test_a_strategy_that_reads_probabilities_takes_one_minus_the_confidence_where_there_are_none(
    tmp_path: Path, learner: str, items: Any, strategy: str
) -> None:
    utilities, whys, said = ranked(tmp_path, learner, items, strategy)
    assert utilities == [1.0 - sure for sure in said.confidences.tolist()]
    assert [why.rpartition("\n")[2] for why in whys] == [f"confidence {sure:.2f}" for sure in said.confidences.tolist()]
    assert all(why.startswith("The model ") and " sure" in why for why in whys)


def test_what_only_the_pipeline_can_say_stays_and_chance_is_chance(tmp_path: Path) -> None:
    assert ranked(tmp_path, "numbers", stars, "tokens_max")[:2] == ([None] * 9, [None] * 9)
    utilities, whys, _ = ranked(tmp_path, "spans", letters, "random")
    assert set(whys) == {"Chosen at random"}
    assert len(set(utilities)) == 9


def test_the_pipelines_evidence_is_explained_in_the_same_words() -> None:
    spec = spec_of("labels", BASE + "  queue: {strategy: labels_max}\n")
    assert reason_for(spec, None, {"labels": {"a": 0.9, "b": 0.45}}, 0.5) == (
        "The model is not sure whether b applies (45 %)\nlabels_max 0.90"
    )
    assert (
        reason_for(spec_of("rating"), None, None, 0.25) == "The model is only 25 % sure of its answer\nconfidence 0.25"
    )


def test_a_version_doubts_answers_that_differ_from_its_own_as_much_as_it_is_sure() -> None:
    data, answers = complaints()
    ranker = make("multilabel", {"field": "item"}).fit(data, answers, np.random.default_rng(0))
    right, wrong = doubts(ranker, data[:8], answers[:8]), doubts(ranker, data[:8], ['["late","rude","torn"]'] * 8)
    assert all(one is not None and one < 0.5 for one in right)
    assert all(one is not None and one > 0.5 for one in wrong[:7])
    assert doubts(ranker, data[:1], ["a plain label"]) == [None]

    data, answers = letters()
    tagger = make("spans", {"field": "item"}).fit(data, answers, np.random.default_rng(0))
    said = tagger.predict(data[:2])
    assert doubts(tagger, data[:2], [str(said.labels[0]), "[]"]) == [0.0, said.confidences[1]]
