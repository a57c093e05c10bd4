"""The trigger: what it lets through, held to a reference evaluator, and what it refuses, with the place."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.errors import SpecError
from labelloop.spec.trigger import NUMBERS, TEXT_FACTS, Facts, compile_trigger

SHARES = st.sampled_from([0.0, 0.1, 0.5, 0.8, 0.8000000000000002, 1.0])
LABELS = st.sampled_from(["cat", "dog", "it's", 'a "b"', "é"])
FACTS = st.builds(Facts, SHARES, SHARES, SHARES, LABELS, LABELS)


def comparisons() -> st.SearchStrategy[str]:
    number = st.one_of(st.sampled_from(NUMBERS), SHARES.map(repr))
    word = st.one_of(st.sampled_from(TEXT_FACTS), LABELS.map(repr))
    operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    named = st.sampled_from(NUMBERS)
    return st.one_of(
        st.tuples(named, operators, number).map(" ".join),
        st.tuples(number, operators, named, operators, number).map(" ".join),
        st.tuples(st.sampled_from(TEXT_FACTS), st.sampled_from(["==", "!="]), word).map(" ".join),
        st.tuples(st.sampled_from(TEXT_FACTS), st.sampled_from(["in", "not in"]), st.lists(LABELS).map(repr)).map(
            " ".join
        ),
    )


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        comparisons(),
        lambda inner: st.one_of(
            inner.map("not ({})".format),
            st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(lambda p: f"({p[0]}){p[1]}({p[2]})"),
        ),
        max_leaves=6,
    )


@settings(max_examples=200)
@given(expressions(), FACTS)
def test_says_what_python_would_say(text: str, facts: Facts) -> None:
    names: dict[str, Any] = {name: getattr(facts, name) for name in NUMBERS + TEXT_FACTS}
    if len(text) <= 1000:
        assert compile_trigger(text)(facts) is bool(eval(text, {"__builtins__": {}}, names))


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), st.text("()[]{}<>=!'\" \n\\andotri0.8model_confidence", max_size=60)))
def test_any_other_text_is_refused_or_answered_and_nothing_else(text: str) -> None:
    try:
        trigger = compile_trigger(text)
    except SpecError:
        return
    assert trigger(Facts(0.5, 0.5, 0.5, "cat", "v")) in (True, False)


def test_the_bound_itself_is_not_below_the_bound() -> None:
    trigger = compile_trigger("model_confidence < 0.8")
    assert [trigger(Facts(p)) for p in (0.7999999999, 0.8, 0.81)] == [True, False, False]


def test_what_the_output_does_not_say_sends_it_to_people() -> None:
    assert compile_trigger("model_confidence < 0.8")(Facts(None))
    assert compile_trigger("label == 'cat'")(Facts(None, label="dog"))
    assert compile_trigger("margin < 0.1")(Facts(0.99))
    assert not compile_trigger("label == 'cat'")(Facts(0.1, label="dog"))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("confidence < 0.8", 1, "no name 'confidence'"),
        ("model_confidence < 1.8", 20, "it is 1.8"),
        ("model_confidence < -1", 20, "are allowed here"),
        ("model_confidence <", 19, "invalid syntax"),
        ("label == 'é' or label > 'é'", 25, "with ==, != and in"),
        ("model_confidence < '0.8'", 20, "a number is compared with a text"),
        ("label in 'cat'", 10, "takes a list"),
        ("0.5 < 0.8", 1, "must name one of"),
        ("model_confidence", 1, "a comparison was expected"),
        ("__import__('os').system('true')", 1, "a comparison was expected"),
        ("label == ().__class__", 10, "are allowed here"),
        ("model_confidence < True", 20, "not allowed here"),
        ("label is 'cat'", 10, "`is` is not allowed"),
        ("label == 'cow'", 10, "no label 'cow'; there are: cat, dog"),
        ("label in ['cat', 'cow']", 18, "no label 'cow'"),
        ("", 1, "invalid syntax"),
    ],
)
def test_an_error_names_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(SpecError, match="trigger: ") as caught:
        compile_trigger(text, ("cat", "dog", "é"))
    assert words in str(caught.value)
    assert caught.value.column == column


@pytest.mark.parametrize("text", ["(" * 400, "not " * 240 + "label == 'cat'", "label == 'cat' or " * 60, "\0"])
def test_a_trigger_that_is_too_deep_or_too_long_is_refused_or_read(text: str) -> None:
    with pytest.raises(SpecError, match="trigger: ") if not text.startswith("not") else nullcontext():
        compile_trigger(text)
