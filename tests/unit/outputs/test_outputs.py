"""Outputs: which are read, and which are refused by the path of a field."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.outputs.fitting import check, shown
from labelloop.outputs.output import Output, body_sha256
from labelloop.outputs.reading import parse
from labelloop.queue.lanes import place, reason_for
from labelloop.reading.strict_json import MAX_BYTES, dumps, loads
from labelloop.spec.loop import LoopSpec
from tests.support.data.outputs import LABELLED, REGION, SPEC, read


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
        ({"probabilities": ...}, "label"),
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
        ({"source": ""}, "source"),
        ({"source": "s" * 201}, "source"),
        ({"step": 3}, "step"),
        ({"step": ""}, "step"),
        ({"trace": ""}, "trace"),
        ({"trace": "ä" * 251}, "trace"),
        ({"trace": 3}, "trace"),
        ({"meta": []}, "meta"),
        ({"meta": "x"}, "meta"),
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


def test_a_body_that_says_nothing_of_its_origin_has_the_hash_that_it_always_had() -> None:
    assert body_sha256(read()).hex() == "29a7dbe0ce01ed1680530023b2d5ea4f3d5243271bef8bfbc1a62607deffc6e3"
    assert (
        body_sha256(read(group="g", gold="cat", model_version="7")).hex()
        == "f5e450be5f78e3591bed80092303fb9efaf89c57e20de5376a2cfcbc71a4392a"
    )
    assert read(source=None, trace=None, step=None, meta=None) == read()
    said: list[dict[str, Any]] = [
        {"source": "a"},
        {"source": "b"},
        {"trace": "a"},
        {"step": "a"},
        {"meta": {}},
        {"meta": {"a": 1}},
    ]
    assert len({body_sha256(read(**fields)) for fields in [{}, *said]}) == 7


def test_any_text_may_be_a_trace_and_meta_holds_any_json() -> None:
    origin: dict[str, Any] = {
        "source": "bot",
        "trace": "\n ä" + "x" * 496,
        "step": "draft",
        "meta": {"a": [{"b": None}], "": True},
    }
    output = read(**origin)
    assert {name: output.to_json()[name] for name in origin} == origin


def test_an_output_must_fit_its_loop() -> None:
    def why(**changes: Any) -> str:
        with pytest.raises(InvalidOutput) as caught:
            check(read(**changes), SPEC.config, SPEC.labels)
        return str(caught.value)

    check(read(), SPEC.config, SPEC.labels)
    assert why(data={"body": "x"}) == "data.text: is missing; the labeling config shows it"
    assert why(data={"text": None}).startswith("data.text: is null; the labeling config shows it. Give a value")
    assert "no such label 'dogg' (did you mean 'dog'?)" in why(probabilities=..., label="dogg")
    assert why(probabilities={"cow": 1}) == "probabilities.cow: no such label 'cow'; there are: cat, dog"
    assert why(probabilities=..., label="cow") == "label: no such label 'cow'; there are: cat, dog"
    assert why(probabilities=..., result=[{**REGION, "from_name": "z"}]).startswith("result[0].from_name: no control")


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
    with pytest.raises(InvalidOutput, match=r"probabilities.puma: no such label 'puma'; there are: Cat, Dog"):
        check(shown(Output("a", {"t": "x"}, probabilities={"puma": 1.0}), config), config, config.labels)


def test_a_result_of_label_studios_is_read_for_its_label() -> None:
    text, choices = (
        '<Text name="text" value="$text"/>',
        '<Choices name="c" toName="text"><Choice value="cat"/></Choices>',
    )
    spec = LoopSpec(name="x", trigger="margin < 0.5", labels_xml=f"<View>{text}{choices}</View>")
    region = {**REGION, "from_name": "c", "value": {"choices": ["cat"]}}
    placed = place(read(key="r", probabilities=..., result=[region], score=0.25), spec)
    assert (placed.label, placed.confidence) == ("cat", 0.25)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("from labelloop import Client, Output", "flask pydantic psycopg sqlalchemy"),
        ("import labelloop.outputs.fitting", ""),
        ("sys.argv = ['labelloop', '--help']; from labelloop.__main__ import main", ""),
    ],
    ids=["the client", "the check at the intake", "the command"],
)
def test_what_starts_often_imports_little(code: str, heavy: str) -> None:
    heavy += " sklearn label_studio_sdk pandas numpy scipy modAL PIL matplotlib"
    run = "try: main()\nexcept (NameError, SystemExit): pass"
    code = f"import sys; {code}\n{run}\nprint('found', *(set('{heavy}'.split()) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert found.splitlines()[-1] == "found"
    assert ("Usage:" in found) == ("--help" in code)


def test_the_intake_imports_no_scipy() -> None:
    code = "import sys, sync.service; print({'scipy', 'sklearn', 'pandas'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert found.strip() == "set()"
