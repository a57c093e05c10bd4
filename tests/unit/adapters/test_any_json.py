"""Payloads that are broken anywhere: an adapter reads them or refuses them in words."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.adapters import conversation, mlflow, openai
from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.output import Output
from tests.support.data.payloads import payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "role content parts type text tool_calls function name arguments message messages id kwargs "
                "attributes token logprob bytes choices".split()
            ),
            below,
            max_size=4,
        )
    ),
    max_leaves=12,
)
CHAT = payload("chat_completions.json")
Read = Callable[[Any], Iterable[Output]]
CASES: dict[str, tuple[Any, Read]] = {
    "label": (CHAT["sure"], lambda x: openai.outputs([x], ["k"], ["t"], labels=["billing", "other"])),
    "json": (CHAT["json"], lambda x: openai.outputs([x], ["k"], ["t"], labels=["other"], json_field="label")),
    "samples": (CHAT["samples"], lambda x: openai.outputs([x], ["k"], ["t"], labels=["delivery", "other"])),
    "text": (CHAT["tool_call"], lambda x: openai.texts([x], ["k"], ["t"])),
    "mlflow": (payload("mlflow_trace.json"), lambda x: mlflow.outputs([x])),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a payload."""
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in below:
        yield from places(one, (*path, key))


def broken(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    whole = copy.deepcopy(value)
    at = whole
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = by
    return whole


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_a_payload_that_is_broken_anywhere_is_read_or_refused(name: str, data: st.DataObject) -> None:
    given_, read = CASES[name]
    path = data.draw(st.sampled_from(list(places(given_))))
    with suppress(InvalidOutput, UsageError):
        list(read(broken(given_, path, data.draw(JSON))))


@given(JSON)
def test_any_json_is_a_conversation_of_texts(value: Any) -> None:
    assert all(isinstance(turn.text, str) and turn.text for turn in conversation.turns(value, "user"))
