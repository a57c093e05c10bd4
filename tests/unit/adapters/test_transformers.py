"""Results of Hugging Face pipelines become outputs that the intake takes."""

from __future__ import annotations

import numpy as np
import pytest

from console.files.templates import FOLDER
from labelloop.adapters import transformers
from labelloop.errors import InvalidOutput, UsageError
from tests.support.data.payloads import SEVERAL, SPANS, lanes_of, payload

NAMES = {"LABEL_0": "billing", "LABEL_1": "delivery", "LABEL_2": "other"}
FOUND = payload("text_classification.json")
TOKENS = payload("token_classification.json")
KEYS, TEXTS = ["a", "b"], ["The invoice is wrong.", "Where is it?"]


@pytest.mark.parametrize("shape", ["default", "top_k_1", "top_k_2"])
def test_labels_that_were_cut_leave_the_best_with_its_confidence(shape: str) -> None:
    made = list(transformers.text_classification(FOUND[shape], KEYS, TEXTS, names=NAMES, model_version="r2"))
    assert [(o.label, o.confidence) for o in made] == [("billing", 0.9713), ("delivery", 0.5127)]
    assert [row.placement.triggered for row in lanes_of(made).values()] == [False, True]


def test_all_labels_give_probabilities() -> None:
    made = list(transformers.text_classification(FOUND["top_k_none"], KEYS, TEXTS, names=NAMES))
    assert made[1].probabilities == {"delivery": 0.5127, "billing": 0.4011, "other": 0.0862}
    assert len(lanes_of(made)) == 2


def test_the_result_of_one_text_needs_no_list_around_it() -> None:
    (one,) = transformers.text_classification(FOUND["one"], "k", "a text", names=NAMES)
    assert (one.label, one.confidence, one.data) == ("delivery", 0.6131, {"text": "a text"})
    (all_labels,) = transformers.text_classification(FOUND["top_k_none_of_one_text"], "k", "a text", names=NAMES)
    assert all_labels.probabilities == {"delivery": 0.5127, "billing": 0.4011, "other": 0.0862}


def test_sigmoid_scores_are_several_labels_and_are_never_taken_for_one() -> None:
    made = list(transformers.text_classification(FOUND["sigmoid"], ["k"], ["t"], names=NAMES, several=True))
    assert made[0].evidence == {"labels": {"billing": 0.93, "delivery": 0.71, "other": 0.02}}
    assert lanes_of(made, SEVERAL)["k"].placement.label == '["billing","delivery"]'
    with pytest.raises(InvalidOutput, match=r"sum to 1.66; .* pass several=True \(output 'k'\)"):
        list(transformers.text_classification(FOUND["sigmoid"], ["k"], ["t"], names=NAMES))


def test_logits_are_no_confidence() -> None:
    made = list(transformers.text_classification(FOUND["logits"], ["k"], ["t"], names=NAMES))
    assert (made[0].label, made[0].confidence) == ("billing", None)
    assert lanes_of(made)["k"].placement.triggered
    with pytest.raises(InvalidOutput, match=r"evidence\.labels: must lie between 0 and 1; there is 4\.21"):
        list(transformers.text_classification(FOUND["logits"], ["k"], ["t"], names=NAMES, several=True))


def test_names_that_join_two_labels_are_refused() -> None:
    with pytest.raises(InvalidOutput, match="two labels have one name"):
        list(transformers.text_classification(FOUND["sigmoid"], ["k"], ["t"], names=dict.fromkeys(NAMES, "x")))


def test_zero_shot_gives_probabilities_or_several_labels() -> None:
    found = payload("zero_shot.json")
    (single,) = transformers.zero_shot(found["single"], "k")
    assert single.probabilities == {"delivery": 0.8112, "billing": 0.1003, "other": 0.0885}
    assert single.data == {"text": "Where is my parcel?"}
    made = list(transformers.zero_shot(found["multi"], ["k"], several=True))
    assert lanes_of(made, SEVERAL)["k"].placement.label == '["billing","delivery"]'


def test_tokens_of_an_entity_become_one_span_as_if_aggregated() -> None:
    for shape in ("aggregated", "tokens"):
        (made,) = transformers.token_classification([TOKENS[shape]], ["k"], [TOKENS["text"]])
        assert made.label == [[0, 13, "PER"], [18, 26, "PER"], [30, 38, "LOC"]]
        assert made.confidence == 0.743
        assert lanes_of([made], SPANS)["k"].placement.confidence == 0.743
    (single,) = transformers.token_classification(TOKENS["aggregated"], "k", TOKENS["text"])
    assert single.label == made.label


@pytest.mark.parametrize("names", [{"PER": "person", "LOC": "place"}, {"B-PER": "B-person", "I-PER": "I-person"}])
def test_names_replace_the_labels_of_spans(names: dict[str, str]) -> None:
    (made,) = transformers.token_classification([TOKENS["tokens"]], ["k"], [TOKENS["text"]], names=names)
    assert made.label == [[0, 13, "person"], [18, 26, "person"], [30, 38, names.get("LOC", "LOC")]]
    tokens = [{"entity": f"LABEL_{i % 2}", "score": 0.9, "index": i, "start": i, "end": i + 1} for i in range(4)]
    (made,) = transformers.token_classification([tokens], ["k"], ["abcd"], names={"LABEL_0": "O", "LABEL_1": "B-PER"})
    assert made.label == [[1, 2, "PER"], [3, 4, "PER"]]
    (made,) = transformers.token_classification([TOKENS["aggregated"]], ["k"], [TOKENS["text"]], names={"PER": "LOC"})
    assert made.label == [[0, 13, "LOC"], [18, 26, "LOC"], [30, 38, "LOC"]]


def test_names_replace_the_labels_of_zero_shot_and_of_boxes() -> None:
    (made,) = transformers.zero_shot(payload("zero_shot.json")["single"], "k", names={"delivery": "parcels"})
    assert made.probabilities == {"parcels": 0.8112, "billing": 0.1003, "other": 0.0885}
    (found, _) = transformers.object_detection(
        payload("object_detection.json"), ["a", "b"], ["x", "y"], (640, 480), names={"car": "vehicle"}
    )
    assert found.result is not None
    assert found.result[0]["value"]["rectanglelabels"] == ["vehicle"]


def test_a_keyword_that_an_adapter_does_not_have_is_told_with_those_it_has() -> None:
    with pytest.raises(UsageError) as caught:
        transformers.zero_shot([], [], modelversion="v7")
    assert "no keyword 'modelversion' (did you mean 'model_version'?); there are: results, keys, data" in str(
        caught.value
    )
    with pytest.raises(UsageError, match="no keyword 'confidence'"):
        transformers.token_classification([], [], [], confidence=1.0)
    with pytest.raises(UsageError, match="or a DataFrame with named columns"):
        list(transformers.text_classification([{"label": "a", "score": 1.0}], ["k"], np.array([[1.0]])))


def test_two_neighbours_of_one_kind_stay_two_spans() -> None:
    tokens = [
        {"entity": entity, "score": 0.9, "index": i, "word": "x", "start": i * 2, "end": i * 2 + 1}
        for i, entity in enumerate(["B-PER", "B-PER", "I-PER", "E-PER", "I-PER", "S-PER", "PER", "LOC", "LOC"])
    ]
    (made,) = transformers.token_classification([tokens], ["k"], ["x " * 9])
    assert made.label == [
        [0, 1, "PER"], [2, 7, "PER"], [8, 9, "PER"], [10, 11, "PER"], [12, 13, "PER"], [14, 17, "LOC"],
    ]  # fmt: skip


def test_a_text_without_entities_has_a_confidence_only_if_all_tokens_are_given() -> None:
    (nothing,) = transformers.token_classification([[]], ["k"], ["No name here"])
    assert (nothing.label, nothing.confidence, nothing.evidence) == ([], None, None)
    assert lanes_of([nothing], SPANS)["k"].placement.triggered
    (everything,) = transformers.token_classification([TOKENS["all_tokens"]], ["k"], [TOKENS["text"]])
    assert (everything.label, everything.confidence) == ([[0, 13, "PER"]], 0.61)
    assert everything.evidence == {"tokens": [0.999, 0.998, 0.61]}


def test_tokens_without_offsets_or_of_another_text_are_refused() -> None:
    with pytest.raises(InvalidOutput, match=r"use a fast tokenizer.* \(output 'k'\)"):
        list(transformers.token_classification([TOKENS["slow_tokenizer"]], ["k"], [TOKENS["text"]]))
    with pytest.raises(InvalidOutput, match="the text has 5 characters; is it this text"):
        list(transformers.token_classification([TOKENS["tokens"]], ["k"], ["short"]))
    with pytest.raises(InvalidOutput, match=r"data\.text: must be the text of the tokens"):
        list(transformers.token_classification([TOKENS["tokens"]], ["k"], [{"body": "x"}]))


def test_boxes_become_rectangles_in_percent() -> None:
    boxes = payload("object_detection.json")
    found, empty = transformers.object_detection(boxes, ["a", "b"], ["http://x/a.png", "http://x/b.png"], (640, 480))
    assert found.result is not None
    assert found.result[0]["value"] == {
        "x": 10.0, "y": 25.0, "width": 40.0, "height": 50.0, "rotation": 0, "rectanglelabels": ["car"],
    }  # fmt: skip
    assert found.result[1]["value"]["x"] == 0.0, "cut at the edge of the image"
    assert (found.score, found.evidence) == (0.61, {"boxes": [0.98, 0.61]})
    assert found.data == {"image": "http://x/a.png"}
    assert found.result[-1]["value"] == {"choices": ["right"]}, "what the pipeline claims about its boxes"
    assert (empty.label, empty.result, empty.confidence, empty.evidence) == ("right", None, None, {"boxes": []})
    with pytest.raises(UsageError, match="sizes has 1 items"):
        list(transformers.object_detection(boxes, ["a", "b"], ["x", "y"], [(640, 480)]))
    with pytest.raises(InvalidOutput, match=r"result\[0\]: the box .* lies outside of an image of 10 x 10"):
        list(transformers.object_detection(boxes, ["a", "b"], ["x", "y"], (10, 10)))


def test_boxes_and_the_claim_about_them_fit_the_template() -> None:
    xml = (FOLDER / "boxes" / "labels.xml").read_text()
    images, size = ["http://x/a.png", "http://x/b.png"], (640, 480)
    boxes = payload("object_detection.json")
    names = {found["label"]: "car" for boxes_of_one in boxes for found in boxes_of_one}
    taken = lanes_of(transformers.object_detection(boxes, ["a", "b"], images, size, names=names), xml)
    placed = [
        (taken[key].placement.label, taken[key].placement.confidence, taken[key].placement.triggered) for key in "ab"
    ]
    assert placed == [("right", 0.61, True), ("right", None, True)]
    other = transformers.object_detection(
        boxes[:1], ["a"], images[:1], size, label="bad", from_name="b", to_name="i", answer_name="q", names=names
    )
    assert {(region["from_name"], region["to_name"]) for region in next(other).result or ()} == {("b", "i"), ("q", "i")}
