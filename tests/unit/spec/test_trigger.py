"""The trigger: what it lets through, held to a reference evaluator, and what it refuses, with the place."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.errors import SpecError
from labelloop.spec.trigger import NUMBERS, Facts, compile_trigger, faults, parts

TEXTS = ("label", "model_version", "source")
SHARES = st.sampled_from([0.0, 0.1, 0.5, 0.8, 0.8000000000000002, 1.0])
LABELS = st.sampled_from(["cat", "dog", "it's", 'a "b"', "é"])
FACTS = st.builds(Facts, SHARES, SHARES, SHARES, LABELS, LABELS, LABELS)


def comparisons() -> st.SearchStrategy[str]:
    number = st.one_of(st.sampled_from(NUMBERS), SHARES.map(repr))
    word = st.one_of(st.sampled_from(TEXTS), LABELS.map(repr))
    operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    named = st.sampled_from(NUMBERS)
    return st.one_of(
        st.tuples(named, operators, number).map(" ".join),
        st.tuples(number, operators, named, operators, number).map(" ".join),
        st.tuples(st.sampled_from(TEXTS), st.sampled_from(["==", "!="]), word).map(" ".join),
        st.tuples(st.sampled_from(TEXTS), st.sampled_from(["in", "not in"]), st.lists(LABELS).map(repr)).map(" ".join),
        st.tuples(named, st.sampled_from(["+", "-", "*"]), number, operators, number).map(" ".join),
    )


def joined(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map("not ({})".format),
            st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(lambda p: f"({p[0]}){p[1]}({p[2]})"),
        ),
        max_leaves=6,
    )


@settings(max_examples=200)
@given(joined(comparisons()), FACTS)
def test_says_what_python_would_say(text: str, facts: Facts) -> None:
    names: dict[str, Any] = {name: getattr(facts, name) for name in (*NUMBERS, *TEXTS)}
    if len(text) <= 1000:
        assert compile_trigger(text)(facts) is bool(eval(text, {"__builtins__": {}}, names))


class Unknown:
    """A comparison with a missing fact: neither true nor false, as in SQL."""


VALUES: list[Any] = [None, 0, 1, -3, 2.5, math.nan, 10**30, "1", "de", True, [1], {"a": 1}]
SIDES = st.sampled_from(["data.x", "data.y", "meta['x']", "data.deep.x", "3", "0", "'de'", "True", "data.x / data.y"])


@settings(max_examples=400)
@given(
    joined(st.tuples(SIDES, st.sampled_from(["<", ">=", "==", "!="]), SIDES).map(" ".join)),
    *[st.sampled_from(VALUES)] * 3,
)
def test_an_unknown_comparison_sends_nothing_below_not_too(text: str, x: Any, y: Any, z: Any) -> None:
    """The reference is the logic of SQL with three values, which never sends what is unknown."""
    facts = Facts(0.9, data={"x": x, "y": y, "deep": {"x": z}}, meta={"x": y})
    try:
        trigger = compile_trigger(text)
    except SpecError:
        return
    assert trigger(facts) is (three_valued(text, facts) is True)


def three_valued(text: str, facts: Facts) -> bool | None:
    """Evaluate with True, False and None; None is unknown."""
    import ast

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.BinOp):
            one, other = value(node.left), value(node.right)
            usable = all(type(v) in (int, float) and math.isfinite(v) for v in (one, other)) and other != 0
            return one / other if usable else None
        if isinstance(node, ast.Constant):
            return node.value
        source = ast.unparse(node)
        found = {
            "data.x": facts.data["x"],  # type: ignore[index]
            "data.y": facts.data["y"],  # type: ignore[index]
            "meta['x']": facts.meta["x"],  # type: ignore[index]
            "data.deep.x": facts.data["deep"]["x"],  # type: ignore[index]
        }[source]
        return found if type(found) in (str, bool, int) or (type(found) is float and math.isfinite(found)) else None

    def kind(v: Any) -> str:
        return "number" if type(v) in (int, float) else type(v).__name__

    def truth(node: ast.expr) -> bool | None:
        if isinstance(node, ast.UnaryOp):
            inner = truth(node.operand)
            return None if inner is None else not inner
        if isinstance(node, ast.BoolOp):
            found = [truth(v) for v in node.values]
            decides = isinstance(node.op, ast.Or)
            return decides if decides in found else None if None in found else not decides
        assert isinstance(node, ast.Compare)
        one, other, op = value(node.left), value(node.comparators[0]), type(node.ops[0])
        if one is None or other is None or kind(one) != kind(other):
            return None
        if op in (ast.Lt, ast.GtE):
            return None if kind(one) != "number" else (one < other) is (op is ast.Lt)
        return bool(one == other) is (op is ast.Eq)

    return truth(ast.parse(text, mode="eval").body)


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text("()[]{}<>=!'\" \n\\andotri0.8+-*/model_confidence", max_size=60),
        st.lists(st.sampled_from([*"()[]<.-+*/'", "data", "meta", ".x", " not ", " is None", " or ", "1", "=="])).map(
            "".join
        ),
    )
)
def test_any_other_text_is_refused_or_answered_and_nothing_else(text: str) -> None:
    try:
        trigger = compile_trigger(text)
    except SpecError:
        assert faults(text)
        return
    assert faults(text) == []
    assert trigger(Facts(0.5, 0.5, 0.5, "cat", "v", data={"x": 1})) in (True, False)


def test_the_bound_itself_is_not_below_the_bound() -> None:
    trigger = compile_trigger("model_confidence < 0.8")
    assert [trigger(Facts(p)) for p in (0.7999999999, 0.8, 0.81)] == [True, False, False]


def test_no_confidence_sends_and_any_other_missing_fact_does_not() -> None:
    assert compile_trigger("model_confidence < 0.8")(Facts(None))
    assert compile_trigger("label == 'cat'")(Facts(None, label="dog"))
    assert not compile_trigger("label == 'cat'")(Facts(0.1, label="dog"))
    for text in ("margin < 0.1", "not margin >= 0.1", "label == 'cat'", "label not in ['cat']", "label not in []"):
        assert not compile_trigger(text)(Facts(0.99)), text
    assert compile_trigger("margin < 0.1 or margin is None")(Facts(0.99))
    assert not compile_trigger("margin < 0.1 or not margin is not None")(Facts(0.99, margin=0.2))


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("data.words > 100", True),
        ("data.words > 100 and not data.nothing < 3", False),
        ("not (data.nothing < 3)", False),
        ("not (data.nothing < 3 and label == 'dog')", True),
        ("not (data.nothing < 3 or label == 'dog')", False),
        ("data.doc.lang in ['de', 'fr']", True),
        ("data.doc.lang not in ['de', 'fr']", False),
        ("data['a name'] == 7", True),
        ("data.items[1].n == 2 and data.items[2].n is None", True),
        ("data.urgent == True", True),
        ("data.urgent == 1", False),
        ("data.words == '5' or data.words != '5'", False),
        ("data.doc != 'x' or data.items != 1", False),
        ("meta.customer.tier == 'gold'", True),
        ("source == 'bot' and step != 'draft' and trace == 'r/1'", True),
        ("model_confidence < 0.8 + data.words / 1000", True),
        ("model_confidence * data.words < 230", True),
        ("-data.words < -249 - 0.5", True),
        ("data.words / (data.words - 250) > 0 or data.words / (data.words - 250) <= 0", False),
        ("(label == 'cat' and model_confidence < 0.95) or (label == 'dog' and model_confidence < 0.7)", True),
        ("probabilities['dog'] > 0.05", True),
        ("probabilities['cow'] == 0", True),
        ("data.id == 9007199254740993", True),
        ("data.id == 9007199254740992", False),
        ("data.large == 150000000000000000000", True),
        ("1 < data.words < 1e3", True),
    ],
)
def test_fields_sources_arithmetic_and_thresholds_per_label(text: str, sent: bool) -> None:
    data = {
        "words": 250, "doc": {"lang": "de"}, "a name": 7, "items": [{"n": 1}, {"n": 2}], "urgent": True,
        "id": 9007199254740993, "large": 1.5e20,
    }  # fmt: skip
    facts = Facts(
        0.9, label="cat", data=data, meta={"customer": {"tier": "gold"}}, source="bot", step="final", trace="r/1",
        probabilities={"cat": 0.9, "dog": 0.1},
    )  # fmt: skip
    assert compile_trigger(text)(facts) is sent


def test_the_parts_of_a_trigger_tell_which_alternative_sends() -> None:
    found = parts("model_confidence < 0.5 or\n  (label == 'cat' and\n data.n > 3)")
    assert [part.text for part in found] == ["model_confidence < 0.5", "label == 'cat' and data.n > 3"]
    facts = Facts(0.9, label="cat", data={"n": 4})
    assert [part.holds(facts) for part in found] == [False, True]
    assert [part.text for part in parts("label == 'cat' and margin < 0.1")] == ["label == 'cat' and margin < 0.1"]


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("confidence < 0.8", 1, "no name 'confidence' (did you mean 'model_confidence'?); there are:"),
        ("modelconfidence < 0.8", 1, "did you mean 'model_confidence'"),
        ("dta.x < 0.8", 1, "no name 'dta' (did you mean 'data'?)"),
        ("model_confidence < 1.8", 20, "it is 1.8"),
        ("model_confidence < -1", 20, "it is -1"),
        ("probabilities['cat'] > 2", 24, "it is 2"),
        ("probabilities['Cat'] > 0.2", 15, "no label 'Cat' (did you mean 'cat'?)"),
        ("probabilities.cat > 0.2", 1, "probabilities['cat']"),
        ("probabilities > 0.2", 1, "name a label"),
        ("data > 3", 1, "name a field of data"),
        ("label.x == 'cat'", 1, "label has no fields"),
        ("data[-1] > 3", 6, "a position from 0"),
        ("data[label] > 3", 6, "a name in quotes"),
        ("data['x' > 3", 5, "was never closed"),
        ("data.x ** 2 > 3", 1, "only operations are"),
        ("data.x + 'a' > 3", 10, "a number was expected, not a text"),
        ("label + 1 > 3", 1, "a number was expected, not a text"),
        ("len(data.x) > 3", 1, "are allowed here"),
        ("data.x < 1e999", 10, "are allowed here"),
        ("data.x > 1 and data.y", 16, "a comparison was expected"),
        ("None is None", 1, "are allowed here"),
        ("'data.x' is None", 1, "must name one of"),
        ("data.x is 3", 11, "`is` is only allowed before None"),
        ("data.x == None", 11, "are allowed here"),
        ("data.x < 'a'", 10, "can only be compared with ==, != and in"),
        ("model_confidence <", 19, "invalid syntax"),
        ("label == 'é' or label > 'é'", 25, "with ==, != and in"),
        ("model_confidence < '0.8'", 20, "a number is compared with a text"),
        ("label in 'cat'", 10, "takes a list"),
        ("0.5 < 0.8", 1, "must name one of"),
        ("model_confidence", 1, "a comparison was expected"),
        ("__import__('os').system('true')", 1, "a comparison was expected"),
        ("label == ().__class__", 10, "only data, meta and probabilities have fields"),
        ("model_confidence < True", 20, "a number is compared with a boolean"),
        ("label is 'cat'", 10, "`is` is only allowed"),
        ("label == 'cow'", 10, "no label 'cow'; there are: cat, dog"),
        ("label == 'dogs'", 10, "no label 'dogs' (did you mean 'dog'?); there are: cat, dog"),
        ("label in ['cat', 'cow']", 18, "no label 'cow'"),
        ("", 1, "invalid syntax"),
    ],
)
def test_an_error_names_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(SpecError, match="trigger: ") as caught:
        compile_trigger(text, ("cat", "dog", "é"))
    assert words in str(caught.value)
    assert caught.value.column == column


def test_every_mistake_is_found_at_its_place() -> None:
    text = "confidence < 0.8 or (label == 'cow' and\n  margin < 3) or not source"
    places = [(1, 1), (1, 31), (2, 12), (2, 22)]
    assert [(fault.line, fault.column) for fault in faults(text, ("cat", "dog"))] == places
    below = [(line + 2, column + 3 * (line == 1)) for line, column in places]
    assert [(fault.line, fault.column) for fault in faults("\n\n   " + text, ("cat", "dog"))] == below


@pytest.mark.parametrize(
    "text",
    ["label == 'cat'] or [label == 'dog'\n", "label == 'cat'\n) or (label == 'dog'", "label == 'cat'\n, 1", "(\n1"],
)
def test_several_lines_are_read_as_one_expression_or_refused(text: str) -> None:
    assert compile_trigger("label == 'dog'  # never\n  or label == 'cat'")(Facts(0.9, label="cat"))
    with pytest.raises(SpecError):
        compile_trigger(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 400,
        "not " * 240 + "label == 'cat'",
        "label == 'cat' or " * 60,
        "\0",
        "-" * 980 + "data.x < 1",
        "data.x" + "+1" * 490 + " < 1",
        "data" + ".x" * 490 + " < 1",
    ],
)
def test_a_trigger_that_is_too_deep_or_too_long_is_refused_or_read(text: str) -> None:
    with pytest.raises(SpecError, match="trigger: ") if not text.startswith(("not", "data.x.x")) else nullcontext():
        compile_trigger(text)
