"""Consensus and further opinions in loop.yaml: what is refused, and with which words."""

from __future__ import annotations

import pytest

from labelloop.errors import SpecError
from labelloop.spec.folder import parse

BASE = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  labels: [cat, dog]\n'
BOXES = """<View><Image name="image" value="$image"/><RectangleLabels name="boxes" toName="image">
<Label value="car"/><Label value="bus"/></RectangleLabels></View>"""


def test_a_loop_that_names_neither_has_the_hash_that_it_always_had() -> None:
    spec, named = parse("x", BASE), parse("x", BASE + "  consensus: majority\n")
    assert spec.sha256() == named.sha256()
    assert spec.sha256() != parse("x", BASE + "  consensus: dawid-skene\n").sha256()
    assert spec.sha256() != parse("x", BASE + "  opinions: {most: 3}\n").sha256()
    assert type(spec).from_json(spec.to_json()) == spec
    whole = parse("x", BASE + "  consensus: crowdlab\n  opinions: {most: 4, sure: 0.9, budget: 2}\n")
    assert type(whole).from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "  overlap: 3\n  opinions: {most: 3}\n",
            "at most 3 people would be asked about an item, but overlap already asks 3",
        ),
        ("  opinions: {most: 3, sure: 0.9}\n", "leave it out, or take `consensus: dawid-skene`"),
        ("  overlap: 2\n  opinions: {most: 3, budget: 2}\n", "above 2 (overlap) and at most 3 (most); it is 2"),
        ("  opinions: {most: 3, budget: 3.5}\n", "at most 3 (most); it is 3.5"),
        ("  opinions: {most: 3, budget: 0.5}\n", "opinions.budget: should be greater than 1, not 0.5"),
        ("  opinions: {most: 3}\n  queue: {second: 0.1}\n", "opinions and queue.second both ask more people"),
        ("  consensus: dawid_skene\n", "dawid-skene"),
        ("  opinions: {}\n", "most"),
        ("  opinions: {most: 11}\n", "10"),
        ("  consensus: dawid-skene\n  opinions: {most: 3, sure: 0.4}\n", "0.5"),
        ("  consensus: crowdlab\n  learner: {name: none}\n", "use dawid-skene, which needs none"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused_with_what_would_do(lines: str, words: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse("x", BASE + lines)
    assert words in str(refused.value)


def test_other_kinds_of_answers_take_majority_and_further_opinions_all_the_same() -> None:
    base = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'
    with pytest.raises(SpecError, match=r"needs one label of several .* use majority, which takes every kind"):
        parse("x", base + "  consensus: dawid-skene\n", BOXES)
    assert parse("x", base + "  overlap: 2\n  opinions: {most: 3}\n", BOXES).opinions is not None
