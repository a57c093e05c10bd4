"""The elements of a large JSON file come one after the other, with their lines, wherever a chunk ends."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import UsageError
from labelloop.reading import json_parts
from labelloop.reading.json_parts import parts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=6), st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_the_elements_of_a_list_are_those_of_json(
    values: list[Any], chunk: int, indent: int | None, ascii_: bool
) -> None:
    raw = json.dumps(values, indent=indent, ensure_ascii=ascii_).encode(errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_parts, "CHUNK", chunk)
        found = list(parts(io.BytesIO(raw), "file"))
    assert [json.loads(one.raw) for one in found] == values
    for one in found:
        assert raw[one.offset : one.offset + len(one.raw)] == one.raw
        assert one.line == raw[: one.offset].count(b"\n") + 1


@given(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=4), st.integers(1, 9))
def test_the_lists_of_an_object_have_their_names(value: dict[str, Any], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_parts, "CHUNK", chunk)
        found = list(parts(io.BytesIO(json.dumps(value, indent=2).encode()), "file"))
    wanted = [(name, one) for name, inner in value.items() for one in (inner if isinstance(inner, list) else [inner])]
    assert [(one.section, json.loads(one.raw)) for one in found] == wanted


def test_a_part_that_is_not_json_does_not_end_the_reading() -> None:
    found = list(parts(io.BytesIO(b'\xef\xbb\xbf[{"a": nope},\n {"a": 1}]'), "file"))
    assert [(one.line, one.raw) for one in found] == [(1, b'{"a": nope}'), (2, b'{"a": 1}')]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "ends too early"), (b"[1, 2", "ends within"), (b'["a', "ends within"), (b"7", "neither"),
        (b"[1] [2]", "follows the end"), (b'{"a": [1]} {"a": 2}', "JSONL"), (b"{a: 1}", "quotation marks"),
        (b'[{"a": ]}]', "closes nothing"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_with_its_name(raw: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        list(parts(io.BytesIO(raw), "tasks.json"))
    assert "tasks.json" in str(caught.value)
