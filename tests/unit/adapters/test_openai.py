"""Chat completions become outputs: a label with its probability, or a text that people judge."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from pydantic import BaseModel

from labelloop.adapters import openai
from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.output import Output
from tests.support.data.payloads import JUDGED, lanes_of, payload

LABELS = ["billing", "delivery", "other"]
FOUND = payload("chat_completions.json")


def one(name: str, **options: Any) -> Output:
    (made,) = openai.outputs(FOUND[name], ["k"], ["a text"], labels=LABELS, **options)
    return made


def spelled(content: str, tokens: list[tuple[str, float]], labels: list[str] = LABELS, **options: Any) -> Output:
    """Return the output of a completion of these tokens, each with its probability."""
    logprobs: list[dict[str, Any]] = [
        {"token": token, "bytes": None, "logprob": math.log(p), "top_logprobs": []} for token, p in tokens
    ]
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": {"content": logprobs}}
    (made,) = openai.outputs([{"choices": [choice]}], ["k"], ["t"], labels=labels, **options)
    return made


def test_first_tokens_that_tell_all_labels_apart_give_probabilities() -> None:
    made = one("sure")
    assert made.probabilities == pytest.approx({"billing": 0.8, "delivery": 0.17, "other": 0.03})
    assert (made.model_version, str(made.produced_at)) == ("small-chat-2026-01-01", "2026-01-01 00:00:00+00:00")
    assert lanes_of([made])["k"].placement.label == "billing"


def test_an_object_of_an_sdk_is_read_as_its_dict() -> None:
    class Completion(BaseModel):
        model: str
        choices: list[dict[str, Any]]

    (made,) = openai.outputs(Completion(**FOUND["sure"]), ["k"], ["t"], labels=LABELS, model_version="prompt-4")
    assert made.probabilities == one("sure").probabilities
    assert made.model_version == "prompt-4"


def test_other_labels_whose_probability_is_not_told_leave_a_confidence() -> None:
    cut = copy.deepcopy(FOUND["sure"])
    del cut["choices"][0]["logprobs"]["content"][0]["top_logprobs"][2:]
    (made,) = openai.outputs([cut], ["k"], ["t"], labels=LABELS)
    assert (made.label, made.probabilities) == ("billing", None)
    assert made.confidence == pytest.approx(0.8)


def test_a_label_in_json_is_as_probable_as_the_tokens_that_spell_it() -> None:
    made = one("json", json_field="label")
    assert made.label == "other"
    assert made.confidence == pytest.approx(0.5)
    assert one("sure", json_field="label", otherwise="other").confidence is None, "no JSON"


@pytest.mark.parametrize(
    ("content", "tokens", "confidence"),
    [
        ("billing", [("bill", 0.9), ("ing", 0.5)], 0.45),
        ("  billing\n", [("  b", 0.9), ("illing", 0.5), ("\n", 0.1)], 0.45),
        ("billing", [("bill", 0.9), ("ed", 0.5)], None),
        ("billing", [], None),
    ],
)
def test_the_confidence_is_the_product_over_the_tokens(
    content: str, tokens: list[tuple[str, float]], confidence: float | None
) -> None:
    made = spelled(content, tokens)
    assert made.label == "billing"
    assert made.confidence == (None if confidence is None else pytest.approx(confidence))


def test_a_label_that_begins_another_counts_the_token_after_it() -> None:
    labels = ["bill", "billing"]
    assert spelled("bill", [("bill", 0.9)], labels).confidence is None
    made = spelled('{"label": "bill"}', [('{"label": "', 1.0), ("bill", 0.9), ('"}', 0.5)], labels, json_field="label")
    assert made.confidence == pytest.approx(0.45)


@pytest.mark.parametrize(
    "content",
    ["Delivery.", "delivery!", '"delivery"', "`Delivery`.", "**Delivery.**", "\u201edelivery\u201c", " 'Delivery',\n"],
)
def test_marks_around_a_label_make_no_difference(content: str) -> None:
    made = spelled(content, [(content, 0.9)], otherwise="other")
    assert made.label == "delivery"
    assert made.confidence == pytest.approx(0.9)
    parts = [(one, 0.9 if one.isalpha() else 0.5) for one in content]
    assert spelled(content, parts).confidence == pytest.approx(0.9 ** len("delivery")), "only its own letters count"
    quoted = json.dumps({"label": content})
    assert spelled(quoted, [(quoted, 0.9)], json_field="label").label == "delivery"


def test_marks_that_belong_to_a_label_are_kept() -> None:
    labels = ["yes", "yes!", "'no'", "Mr."]
    found = {content: spelled(content, [], labels).label for content in ("yes", "yes.", "Yes!", "'no'", '"Mr."')}
    assert found == {"yes": "yes", "yes.": "yes", "Yes!": "yes!", "'no'": "'no'", '"Mr."': "Mr."}
    assert spelled("Delivery or billing.", [], otherwise="other").label == "other"


def test_alternatives_with_marks_are_counted_for_their_label() -> None:
    marked = copy.deepcopy(FOUND["sure"])
    for other in marked["choices"][0]["logprobs"]["content"][0]["top_logprobs"][1:]:
        other["token"] = f" {other['token']}."
    (made,) = openai.outputs([marked], ["k"], ["t"], labels=LABELS)
    assert made.probabilities == pytest.approx({"billing": 0.8, "delivery": 0.17, "other": 0.03})


def test_letters_of_several_bytes_are_found() -> None:
    made = spelled("größe", [("gr", 0.9), ("öß", 0.5), ("e", 1.0)], ["größe", "farbe"])
    assert made.confidence == pytest.approx(0.45)


def test_without_logprobs_people_are_asked() -> None:
    made = one("without_logprobs")
    assert (made.label, made.confidence) == ("delivery", None)
    assert lanes_of([made])["k"].placement.triggered


def test_the_share_of_samples_is_no_confidence() -> None:
    made = one("samples")
    assert (made.label, made.confidence) == ("delivery", None)
    assert made.evidence == {"samples": ["other", "Delivery", "delivery"]}
    assert lanes_of([made])["k"].placement.triggered


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refusal", "the model refused: 'I cannot help with that.'"),
        ("tool_call", "it calls a tool"),
        ("cut_off", "the content is 'The customer wants to'"),
        ("empty", "the content is empty"),
    ],
)
def test_a_completion_that_names_no_label_is_told_or_goes_to_people(name: str, reason: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        one(name)
    assert reason in str(caught.value)
    assert "(output 'k')" in str(caught.value)
    made = one(name, otherwise="other")
    assert (made.label, made.confidence) == ("other", None)
    assert lanes_of([made])["k"].placement.triggered


def test_a_whole_label_at_the_length_limit_counts_unless_it_may_go_on() -> None:
    cut = copy.deepcopy(FOUND["without_logprobs"])
    cut["choices"][0]["finish_reason"] = "length"
    (made,) = openai.outputs([cut], ["k"], ["t"], labels=LABELS)
    assert made.label == "delivery"
    with pytest.raises(InvalidOutput, match="finish_reason is 'length'"):
        list(openai.outputs([cut], ["k"], ["t"], labels=["delivery", "delivery note"]))


@pytest.mark.parametrize(
    "bad", [{}, {"choices": []}, {"error": {"message": "rate limit"}}, {"choices": [{"delta": {"content": "x"}}]}, None]
)
def test_anything_else_than_a_completion_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidOutput, match="is no chat completion"):
        list(openai.outputs([bad], ["k"], ["t"], labels=LABELS))


def test_labels_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(UsageError, match="two labels differ only"):
        list(openai.outputs([], [], [], labels=["Other", "other"]))


def test_a_text_is_shown_to_people_without_a_confidence() -> None:
    (made,) = openai.texts(FOUND["sure"], ["k"], ["What is this about?"])
    assert made.data == {"question": "What is this about?", "answer": "Billing"}
    assert (made.label, made.confidence) == ("approve", None)
    assert made.evidence == {"log_probabilities": [-0.2231435513, 0.0]}
    assert lanes_of([made], JUDGED)["k"].placement.triggered
    (several,) = openai.texts(FOUND["samples"], ["k"], ["q"])
    assert several.evidence == {"samples": ["other", "Delivery", "delivery"]}
    (refused,) = openai.texts(FOUND["refusal"], ["k"], ["q"])
    assert refused.data["answer"] == "I cannot help with that."
    (call,) = openai.texts(FOUND["tool_call"], ["k"], ["q"])
    assert '"track"' in call.data["answer"]
    with pytest.raises(InvalidOutput, match=r"data\.answer: is empty"):
        list(openai.texts(FOUND["empty"], ["k"], ["q"]))
