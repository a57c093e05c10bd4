"""The quick reader and writer of JSON agree with the strict ones: value, type and error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import InvalidOutput
from labelloop.outputs.output import Output, canonical, sha256_of
from labelloop.reading import quick_json, strict_json
from tests.support.data.malformed import MALFORMED

NUMBERS = st.integers() | st.integers(-(2**65), 2**65) | st.floats() | st.floats(-1e-3, 1e-3)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "%s", "é", "\x7f"]),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=4), below, max_size=4),
    max_leaves=20,
)
TOKENS = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", " ", "\n", '"a"', '"a"', '"b"', '"\\u0061"', '"\\ud800"', '"\\\\"', '"\\""', '"\0"',
     '"a\\', "1", "-0", "0.0", "1.", "01", "1e5", "1E-7", "1e400", "9223372036854775807", "9223372036854775808",
     "-9223372036854775809", "0.00001", "1" * 30, "0." + "9" * 40, "true", "null", "NaN", "-Infinity", "\ufeff", "é"]
)  # fmt: skip


def said(work: Callable[[Any], Any], given: Any) -> tuple[str, ...]:
    """Return the value with the types of its numbers, or the error with its path and status."""
    try:
        return ("value", repr(work(given)))
    except InvalidOutput as exc:
        return ("error", str(exc), exc.path, str(exc.status))


def same(raw: bytes) -> bool:
    return said(quick_json.loads, raw) == said(strict_json.loads, raw)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_outputs_get_the_same_words(name: str) -> None:
    assert same(MALFORMED[name])


@given(VALUES, st.booleans())
def test_what_python_writes_is_read_the_same(value: Any, ascii_only: bool) -> None:
    assert same(json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass"))


@given(VALUES, st.integers(0, 200), st.binary(max_size=2), st.integers(0, 3))
def test_damaged_texts_are_read_or_refused_the_same(value: Any, at: int, by: bytes, lost: int) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    assert same(raw[:at] + by + raw[at + lost :])


@given(st.lists(TOKENS, max_size=14))
def test_any_row_of_tokens_is_read_or_refused_the_same(tokens: list[str]) -> None:
    assert same("".join(tokens).encode())


@given(st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1), st.sampled_from("abc"))
def test_a_name_that_is_given_twice_is_refused_at_any_depth(value: dict[str, Any], twice: str) -> None:
    inner = json.dumps(value)[:-1] + f', "{twice}": "x", "{twice}": 1}}'
    for raw in (inner, f"[[{inner}]]", f'{{"data": {{"\\\\ \\" :": {inner}}}}}'):
        assert same(raw.encode())
        assert said(quick_json.loads, raw.encode())[0] == "error"


@given(VALUES)
def test_both_write_the_same_text(value: Any) -> None:
    assert said(quick_json.dumps, value) == said(strict_json.dumps, value)


@given(st.dictionaries(st.text(max_size=5), st.floats() | st.floats(-1e-3, 1e-3), max_size=8))
def test_both_write_the_same_probabilities(shares: dict[str, float]) -> None:
    assert said(quick_json.dumps, shares) == said(strict_json.dumps, shares)


@given(st.text(max_size=8), st.dictionaries(st.text(max_size=4), VALUES, max_size=3), st.floats(0, 1))
def test_a_body_has_the_hash_of_its_whole_canonical_text(key: str, data: dict[str, Any], share: float) -> None:
    """Keys that are stored already must stay known, so the hash of a body never changes."""
    output = Output(key, data, probabilities={"cat": share}, model_version="m", meta={"n": 1})
    try:
        whole = strict_json.dumps(output.to_json()).encode()
    except (InvalidOutput, UnicodeEncodeError):
        return
    assert sha256_of(canonical(output, quick_json.dumps)) == hashlib.sha256(whole).digest()
