"""Strict JSON: read one value from bytes, or refuse it clearly. Every step is bounded before the next one begins.

Python's own reader accepts NaN, 1e999 (as infinity), duplicate keys, UTF-16 and lone surrogates. Postgres accepts
values that Python cannot read back. Label Studio answers 500 for a whole project that contains one of these.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from labelloop.errors import InvalidOutput

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_PATH = 200
INT64 = 1 << 63
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
UNKEPT = re.compile("[\0\ud800-\udfff]")
"""Characters that Postgres stores in no text: NUL, and half of a surrogate pair."""


class Limits(NamedTuple):
    """Largest number of bytes of a text, and of values and keys in it."""

    bytes_: int = MAX_BYTES
    nodes: int = MAX_NODES


OF_OUTPUTS = Limits()
OF_ANSWERS = Limits(16 << 20, 2_000_000)
"""Limits of an answer that is read back from its text: a mask that a person drew on a large picture is long."""


def loads(raw: bytes, limits: Limits = OF_OUTPUTS) -> Any:
    """Return the value of `raw`. Raises InvalidOutput.

    It refuses NaN and infinity, integers beyond 64 bits, NUL, lone surrogates and duplicate keys. It also refuses more
    than MAX_DEPTH levels, and a text that is larger than the limits.
    """
    if len(raw) > limits.bytes_:
        raise InvalidOutput("", f"{len(raw)} bytes; an output has at most {limits.bytes_}", status=413)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidOutput("", f"is not UTF-8: byte {exc.start} ({exc.reason})") from None
    _refuse_depth(raw, limits)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise _no_json(exc) from None
    except _Bad:
        raise _first_bad(text) from None
    # Below these sizes, and without an escape, there is nothing that the walk could find.
    if len(raw) > limits.nodes or b"\\u" in raw:
        _walk(value, limits)
    return value


def loads_large(raw: bytes) -> Any:
    """Return a value of any size whose parts the caller checks. Raises InvalidOutput.

    It refuses NaN, infinity and names that are given twice.
    """
    try:
        return json.loads(raw.decode(), parse_constant=_constant, object_pairs_hook=_pairs)
    except _Bad as exc:
        raise InvalidOutput(exc.name, str(exc)) from None
    except (ValueError, RecursionError) as exc:
        raise InvalidOutput("", f"is not JSON in UTF-8: {str(exc)[:200]}") from None


def dumps(value: Any) -> str:
    """Return the canonical form: sorted keys, no blanks. Raises InvalidOutput if it is not JSON.

    A scalar or an array of numpy is written as its values.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidOutput("", f"cannot be written as JSON: {exc}") from None


def _plain_of(value: Any) -> Any:
    if hasattr(value, "shape") and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _refuse_depth(raw: bytes, limits: Limits) -> None:
    """Refuse, before reading, a text that nests too deeply or opens more lists and objects than there may be values."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    depth = opened = 0
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            depth, opened = depth + 1, opened + 1
            if depth > MAX_DEPTH:
                raise InvalidOutput("", f"is nested more than {MAX_DEPTH} deep")
            if opened > limits.nodes:
                raise _too_many(limits)
        elif first in b"]}":
            depth -= 1


def _walk(value: Any, limits: Limits) -> None:
    """Refuse NUL, surrogates and too many nodes. The bytes bound the breadth, and the scan bounds the depth."""
    nodes = 1
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict | list):
            nodes += len(node) * (2 if isinstance(node, dict) else 1)
            if nodes > limits.nodes:
                raise _too_many(limits)
        if isinstance(node, str):
            _refuse_text(path, node)
        elif isinstance(node, dict):
            for key, child in node.items():
                _refuse_text(path, key)
                below = f"{path}.{key}" if path else key
                stack.append((below[:MAX_PATH], child))  # a long key above many values would fill any memory
        elif isinstance(node, list):
            stack.extend((f"{path}[{i}]", child) for i, child in enumerate(node))


def _refuse_text(path: str, text: str) -> None:
    if UNKEPT.search(text) is None:
        return
    path = path.encode(errors="replace").decode()[:MAX_PATH]
    if "\0" in text:
        raise InvalidOutput(path, "holds the character NUL (\\u0000)")
    raise InvalidOutput(path, "holds half of a surrogate pair (\\ud800 to \\udfff)")


def _too_many(limits: Limits) -> InvalidOutput:
    return InvalidOutput("", f"more than {limits.nodes} values")


class _Bad(Exception):
    """A value that JSON or Postgres does not have: the reason, and the name if it is a name given twice."""

    def __init__(self, reason: str, name: str = "") -> None:
        super().__init__(reason)
        self.name = name


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Bad("is given twice", _plain(twice))
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Bad(f"the number {digits[:40]} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > 20 or not -INT64 <= (value := int(digits)) < INT64:
        raise _Bad(f"the number {digits[:40]} does not fit into 64 bits")
    return value


def _constant(name: str) -> NoReturn:
    raise _Bad(f"{name} is not a JSON number; give null if the value is missing")


def _first_bad(text: str) -> InvalidOutput:
    """Return the error of the first bad value in `text`, with its path; if the rest is not JSON either, its error."""
    try:
        value = _KEEPING.decode(text)
    except json.JSONDecodeError as exc:
        return _no_json(exc)
    return next(_bad_in("", value))


def _bad_in(path: str, node: Any) -> Iterator[InvalidOutput]:
    """Yield the error of each bad value, in the order of the text. The depth is bounded by the scan."""
    if isinstance(node, _Bad):
        yield InvalidOutput(f"{path}.{node.name}".strip(".")[:MAX_PATH] if node.name else path, str(node))
    for below, child in _children(path, node):
        yield from _bad_in(below[:MAX_PATH], child)


def _no_json(exc: json.JSONDecodeError) -> InvalidOutput:
    return InvalidOutput("", f"is not JSON: {exc.msg} at character {exc.pos + 1}")


def _kept(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader of values that returns the error instead of raising it."""

    def keeping(given: Any) -> Any:
        try:
            return read(given)
        except _Bad as exc:
            return exc

    return keeping


def _children(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield f"{path}.{_plain(key)}" if path else _plain(key), child
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield f"{path}[{i}]", child


def _plain(text: str) -> str:
    return text.encode(errors="replace").decode()[:MAX_PATH]


_READERS: dict[str, Any] = {
    "object_pairs_hook": _pairs,
    "parse_float": _float,
    "parse_int": _int,
    "parse_constant": _constant,
}
_DECODER = json.JSONDecoder(**_READERS)
_KEEPERS: dict[str, Any] = {name: _kept(read) for name, read in _READERS.items()}
_KEEPING = json.JSONDecoder(**_KEEPERS)
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain_of
)
