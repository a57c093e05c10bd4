"""Outputs: what is read, what is refused and where, and the lanes."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop import strategies
from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.outputs.fitting import check, shown
from labelloop.outputs.output import Output, body_sha256, unit_hash
from labelloop.outputs.reading import parse
from labelloop.queue.lanes import Lane, announced_lane, place, reason_for
from labelloop.reading.strict_json import MAX_BYTES, dumps, loads
from labelloop.spec.loop import LoopSpec

SPEC = LoopSpec(name="x", trigger="model_confidence < 0.8").with_labels(["cat", "dog"])
GOOD: dict[str, Any] = {"key": "a/1", "data": {"text": "hi"}, "probabilities": {"cat": 0.25, "dog": 0.75}}


def read(**changes: Any) -> Output:
    """GOOD with changes; a field set to ... is left out."""
    return parse(json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not ...}).encode())


LABELLED: dict[str, Any] = {"probabilities": ..., "label": "cat"}
REGION = {"from_name": "verdict", "to_name": "text", "type": "choices", "value": {"choices": ["approve"]}}


@pytest.mark.parametrize("strategy", ["entropy", "vote_entropy"])
def test_shares_that_were_rounded_to_three_digits_are_taken_in_placed_and_explained(strategy: str) -> None:
    """They sum to 1.001, which in binary is a little more than 1e-3 off or a little less, by the order of the sum."""
    shares = {"a": 0.099, "b": 0.046, "c": 0.145, "d": 0.485, "e": 0.226}
    spec = SPEC.with_labels(list(shares))
    spec = spec.model_copy(update={"queue": spec.queue.model_copy(update={"strategy": strategy})})
    output = read(probabilities=shares, evidence={"committee": [shares, shares]})
    assert place(output, spec).lane == "rule"
    assert reason_for(spec, output.probabilities, output.evidence, 0.485)


def test_the_three_forms_are_read() -> None:
    assert read() == Output("a/1", {"text": "hi"}, {"cat": 0.25, "dog": 0.75})
    assert read(**LABELLED, confidence=1).confidence == 1.0
    assert read(**LABELLED).confidence is None, "never a made-up 1"
    assert read(probabilities=..., result=[REGION], score=0.5).result == [REGION]
    assert str(read(produced_at="2026-01-31T12:00:00+02:00").produced_at) == "2026-01-31 10:00:00+00:00"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"key": ...}, "key"),
        ({"key": ""}, "key"),
        ({"key": " a"}, "key"),
        ({"key": "a\n"}, "key"),
        ({"key": "a\nb"}, "key"),
        ({"key": "a\x1b[2Jb"}, "key"),
        ({"key": "a\x9bb"}, "key"),
        ({"key": "a\u2028b"}, "key"),
        ({"key": "a\u202eb"}, "key"),
        ({"key": "x" * 501}, "key"),
        ({"key": "ä" * 251}, "key"),
        ({"key": 3}, "key"),
        ({"data": ...}, "data"),
        ({"data": "hi"}, "data"),
        ({"data": {"labelloop_sig": 1}}, "data.labelloop_sig"),
        ({"extra": 1}, "extra"),
        ({"probabilities": {}}, "probabilities"),
        ({"probabilities": [0.5, 0.5]}, "probabilities"),
        ({"probabilities": {"cat": 0.5, "dog": 0.498}}, "probabilities"),
        ({"probabilities": {"cat": 1.5, "dog": -0.5}}, "probabilities.cat"),
        ({"probabilities": {"cat": True, "dog": 0}}, "probabilities.cat"),
        ({"probabilities": {"cat": "1"}}, "probabilities.cat"),
        ({"probabilities": {"cat": None}}, "probabilities.cat"),
        ({"probabilities": ...}, "probabilities"),
        ({"label": "cat"}, "label"),
        ({"confidence": 0.5}, "confidence"),
        ({**LABELLED, "confidence": 1.01}, "confidence"),
        ({**LABELLED, "confidence": False}, "confidence"),
        ({**LABELLED, "score": 0.5}, "score"),
        ({**LABELLED, "label": ""}, "label"),
        ({"probabilities": ..., "result": []}, "result"),
        ({"probabilities": ..., "result": [{**REGION, "value": 1}]}, "result[0].value"),
        ({"model_version": 3}, "model_version"),
        ({"group": ""}, "group"),
        ({"produced_at": "2026-01-31T12:00:00"}, "produced_at"),
        ({"produced_at": "10000-01-01T00:00:00Z"}, "produced_at"),
        ({"produced_at": "0001-01-01T00:00:00+14:00"}, "produced_at"),
        ({"produced_at": "infinity"}, "produced_at"),
        ({"produced_at": 1738324800}, "produced_at"),
    ],
)
def test_a_bad_field_is_refused_by_its_path(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        read(**changes)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"b": [1, {"c": 2, "d": NaN}]}', "b[1].d: NaN is not a JSON number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": 9223372036854775808}', "does not fit into 64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "does not fit into 64 bits"),
        (b'{"a": 1, "a": 1}', "a: is given twice"),
        (b'{"a": {"b": "\\u0000"}}', "a.b: holds the character NUL"),
        (b'{"a\\u0000": 1}', "NUL"),
        (b'{"a": ["\\ud800"]}', "a[0]: holds half of a surrogate pair"),
        (b'{"a": "\xff"}', "is not UTF-8: byte 7"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "is not JSON"),
        (b"[" * 100_000, "nested more than 32 deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "nested more than 32 deep"),
        (b"[" + b"0," * 60_000 + b"0]", "more than 50000 values"),
        (b" " * (MAX_BYTES + 1), "at most 1048576"),
        (b"{} {}", "is not JSON"),
        (b"", "is not JSON"),
        (b'"a\nb"', "is not JSON"),
    ],
)
def test_what_would_break_something_later_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        loads(raw)
    assert words in str(caught.value)


def test_a_long_key_above_many_values_costs_little() -> None:
    raw = b'{"' + b"k" * 99_999 + b'": [' + b"0," * 40_000 + b"0]}"
    tracemalloc.start()
    loads(raw)
    assert tracemalloc.get_traced_memory()[1] < 60 << 20
    tracemalloc.stop()


def test_brackets_inside_a_text_have_no_depth_and_pairs_of_surrogates_are_one_character() -> None:
    assert loads(json.dumps(["[{\\" * 500 + '"']).encode()) == ["[{\\" * 500 + '"']
    assert loads(b'"\\ud83d\\ude00"') == "😀"


SOUND = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(SOUND)
def test_sound_json_comes_back_as_it_was(value: Any) -> None:
    assert loads(dumps(value).encode()) == value
    assert loads(json.dumps(value).encode()) == value


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(str.encode), st.text('{}[]",:\\u0d8e+-19Na', max_size=60)
    )
)
def test_any_bytes_are_an_output_or_refused(raw: bytes | str) -> None:
    try:
        parse(raw if isinstance(raw, bytes) else raw.encode())
    except InvalidOutput as exc:
        str(exc).encode()


def test_the_hash_of_a_body_is_of_what_it_says() -> None:
    same = b'{"probabilities":{"dog":7.5e-1,"cat":0.25},"data":{"text":"\\u0068i"},\n"key":"a/1","model_version":""}'
    assert body_sha256(parse(same)) == body_sha256(read())
    at = "2026-01-31T12:00:00+00:00"
    assert body_sha256(read(produced_at=at)) == body_sha256(read(produced_at="2026-01-31T14:00:00+02:00"))
    others = [read(produced_at=at), read(group="g"), read(data={"text": "ho"}), read(model_version="2")]
    assert len({body_sha256(o) for o in [read(), *others]}) == 5


def test_an_output_must_fit_its_loop() -> None:
    def why(**changes: Any) -> str:
        with pytest.raises(InvalidOutput) as caught:
            check(read(**changes), SPEC.config, SPEC.labels)
        return str(caught.value)

    check(read(), SPEC.config, SPEC.labels)
    assert why(data={"body": "x"}) == "data.text: is missing; the labeling config shows it"
    assert why(data={"text": None}).startswith("data.text")
    assert why(probabilities={"cow": 1}) == "probabilities.cow: no such label; there are: cat, dog"
    assert why(probabilities=..., label="cow") == "label: no such label; there are: cat, dog"
    assert why(probabilities=..., result=[{**REGION, "from_name": "z"}]).startswith("result[0].from_name: no such")


# -- lanes -------------------------------------------------------------------------------------------------------


def many(n: int, p: float, **changes: Any) -> list[Output]:
    return [read(key=f"k/{i}", probabilities={"cat": p, "dog": 1 - p}, **changes) for i in range(n)]


def test_an_output_may_say_what_its_model_calls_the_labels() -> None:
    config = LabelingConfig.parse(
        '<View><Text name="t" value="$t"/><Choices name="label" toName="t">'
        '<Choice value="Cat" predicted_values="kitty,tomcat"/><Choice value="Dog"/></Choices></View>'
    )
    said = Output("a", {"t": "x"}, probabilities={"kitty": 0.25, "tomcat": 0.5, "Dog": 0.25}, gold="kitty")
    found = shown(said, config)
    check(found, config, config.labels)
    assert (found.probabilities, found.gold) == ({"Cat": 0.75, "Dog": 0.25}, "Cat")
    assert shown(Output("a", {"t": "x"}, label="kitty"), config).label == "Cat"
    with pytest.raises(InvalidOutput, match=r"probabilities.puma: no such label; there are: Cat, Dog"):
        check(shown(Output("a", {"t": "x"}, probabilities={"puma": 1.0}), config), config, config.labels)


def test_lanes_have_the_shares_that_the_spec_says() -> None:
    sure = [place(output, SPEC).lane for output in many(4000, 0.9)]
    assert abs(sure.count(Lane.HOLDOUT) / 4000 - SPEC.holdout) < 0.03
    assert abs(sure.count(Lane.AUDIT) / (4000 - sure.count(Lane.HOLDOUT)) - SPEC.audit) < 0.015
    unsure = [place(output, SPEC) for output in many(400, 0.6)]
    assert {p.lane for p in unsure} == {"rule", "holdout"}
    assert [p.holdout for p in unsure] == [lane == "holdout" for lane in sure[:400]], "whatever the trigger says"


def test_the_control_is_a_random_share_of_what_the_trigger_sends_and_is_not_ranked() -> None:
    spec = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"control": 0.2})})
    unsure = [place(output, spec) for output in many(4000, 0.6)]
    sent = [p for p in unsure if p.lane != "holdout"]
    drawn = [p for p in sent if p.lane == "control"]
    assert abs(len(drawn) / len(sent) - 0.2) < 0.03
    assert abs(sum(p.utility or 0 for p in drawn) / len(drawn) - 0.5) < 0.05, "by chance, not by the margin"
    assert {p.inclusion_probability for p in sent} == {1.0}
    assert {place(output, spec).lane for output in many(400, 0.99)} <= {"audit", "holdout", "pass"}


def test_gold_checks_people_and_judges_nothing() -> None:
    placed = [place(output, SPEC) for p in (0.6, 0.99) for output in many(50, p, gold="cat")]
    assert {(p.lane, p.holdout) for p in placed} == {("gold", False)}
    assert len({p.utility for p in placed}) == 50, "in an order of chance"


@pytest.mark.parametrize(
    ("chances", "shares", "told"),
    [
        ({}, {}, "holdout"),
        ({"holdout": 0.0}, {}, "audit"),
        ({}, {"holdout": 0.0}, "audit"),
        ({"holdout": 0.0, "audit": 0.0}, {"control": 0.1}, "control"),
        ({"holdout": 0.0, "audit": 0.0}, {}, "rule"),
    ],
)
def test_gold_says_of_itself_what_others_of_its_loop_say(
    chances: dict[str, float], shares: dict[str, float], told: str
) -> None:
    spec = SPEC.model_copy(update={**chances, "queue": SPEC.queue.model_copy(update=shares)})
    assert announced_lane(Lane.GOLD, spec) == told
    assert [announced_lane(lane, spec) for lane in (Lane.RULE, Lane.CONTROL, Lane.AUDIT)] == [
        "rule",
        "control",
        "audit",
    ]


def test_while_no_version_ranks_people_read_what_the_pipelines_model_said() -> None:
    assert (
        reason_for(SPEC, {"cat": 0.52, "dog": 0.48}, None, 0.52)
        == "The model's two most likely answers are 4 points apart"
    )
    assert reason_for(SPEC, None, None, 0.4) == "The model is 40 % confident in its answer"
    assert reason_for(SPEC, None, None, None) == "The model gave no confidence"
    chance = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"strategy": "random"})})
    assert reason_for(chance, {"cat": 1.0}, None, None) == reason_for(chance, None, None, None) == "Drawn at random"


@pytest.mark.parametrize("strategy", strategies.names())
def test_they_read_it_of_what_came_when_the_loop_had_other_labels_too(strategy: str) -> None:
    """A label was renamed while outputs waited: what they say is still to be pushed."""
    spec = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"strategy": strategy})})
    committee = {"committee": [{"cat": 1.0}, {"hound": 1.0}]}
    for shares in ({"hound": 1.0}, {"cat": 0.1, "hound": 0.9}):
        assert reason_for(spec, shares, None, 0.9)
        assert reason_for(spec, shares, committee, 0.9)
    assert (
        reason_for(SPEC, {"cat": 0.1, "hound": 0.9}, None, 0.9)
        == "The model's two most likely answers are 80 points apart"
    )


def test_one_group_is_on_one_side() -> None:
    assert len({place(output, SPEC).holdout for output in many(100, 0.6, group="g")}) == 1


def test_the_utility_follows_the_strategy_in_the_rule_lane_and_chance_elsewhere() -> None:
    places = [place(output, SPEC) for output in many(4000, 0.75)]
    assert {p.utility for p in places if p.lane == "rule"} == {0.5}, "margin: 1 - (0.75 - 0.25)"
    random = [p.utility for p in places if p.lane == "holdout" and p.utility is not None]
    assert abs(sum(random) / len(random) - 0.5) < 0.05
    assert {p.inclusion_probability for p in places} == {1.0}


def test_an_output_without_confidence_goes_to_people_first() -> None:
    placed = [place(read(key=f"k/{i}", **LABELLED), SPEC) for i in range(50)]
    assert {p.lane for p in placed} == {"rule", "holdout"}
    rule = [p for p in placed if p.lane == "rule"]
    assert {(p.label, p.confidence) for p in rule} == {("cat", None)}
    utilities = {p.utility for p in rule if p.utility is not None and 0.999 <= p.utility <= 1}
    assert len(utilities) == len(rule), "in an order of chance among themselves"
    passed = place(read(key="k/1", **LABELLED, confidence=0.9), SPEC)
    assert (passed.label, passed.confidence) == ("cat", 0.9)


def test_a_result_of_label_studios_is_read_for_its_label() -> None:
    text, choices = (
        '<Text name="text" value="$text"/>',
        '<Choices name="c" toName="text"><Choice value="cat"/></Choices>',
    )
    spec = LoopSpec(name="x", trigger="margin < 0.5", labels_xml=f"<View>{text}{choices}</View>")
    region = {**REGION, "from_name": "c", "value": {"choices": ["cat"]}}
    placed = place(read(key="r", probabilities=..., result=[region], score=0.25), spec)
    assert (placed.label, placed.confidence) == ("cat", 0.25)


def test_the_hash_is_uniform_and_tells_its_parts_apart() -> None:
    values = [unit_hash("a", str(i)) for i in range(2000)]
    assert 0 <= min(values) < max(values) < 1
    assert abs(sum(values) / 2000 - 0.5) < 0.03
    assert unit_hash("a", "bc") != unit_hash("ab", "c")
    assert unit_hash("holdout", "digits", "digit/7") == 0.45015134238084764, (
        "fixed for ever: lanes must not move with a release"
    )


def test_the_clients_import_is_light() -> None:
    heavy = "flask sklearn label_studio_sdk pandas numpy pydantic psycopg sqlalchemy scipy modAL"
    code = f"import sys; from labelloop import Client, Output; print(*(set('{heavy}'.split()) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b""
