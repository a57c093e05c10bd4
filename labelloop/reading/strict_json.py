"""Strict JSON: one text of bytes to one value, or a clear refusal; every step is bounded before the next begins.

Python's own reader takes NaN, 1e999 (as infinity), keys given twice, UTF-16 and lone surrogates; Postgres takes values
that Python can then no longer read back; Label Studio answers 500 for a whole project with one of them in it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from labelloop.errors import InvalidOutput

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_PATH = 200
INT64 = 1 << 63
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
UNKEPT = re.compile("[\0\ud800-\udfff]")
"""What Postgres keeps in no text: NUL, and half of a surrogate pair."""


def loads(raw: bytes) -> Any:
    """The value of `raw`: no NaN or infinity, no integer beyond 64 bits, no NUL, no lone surrogate, no key twice.

    At most MAX_BYTES, MAX_DEPTH deep, MAX_NODES values and keys. Raises InvalidOutput.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidOutput("", f"{len(raw)} bytes; at most {MAX_BYTES} an output are taken", status=413)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidOutput("", f"is not UTF-8: byte {exc.start} ({exc.reason})") from None
    _refuse_depth(raw)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise InvalidOutput("", f"is not JSON: {exc.msg} at character {exc.pos + 1}") from None
    except _NoNumber as exc:
        raise InvalidOutput(_where(text), f"{exc} is no JSON number; give null where the value is missing") from None
    # Below these sizes, and without an escape, nothing that the walk looks for can be there.
    if len(raw) > MAX_NODES or b"\\u" in raw:
        _walk(value)
    return value


def dumps(value: Any) -> str:
    """The one canonical form: sorted keys, no blanks. Raises InvalidOutput for what is no JSON.

    A scalar or array of numpy is written as what it holds.
    """
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain_of
        )
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidOutput("", f"cannot be written as JSON: {exc}") from None


def _plain_of(value: Any) -> Any:
    if hasattr(value, "shape") and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _refuse_depth(raw: bytes) -> None:
    """Refuse what nests too deeply, or opens more lists and objects than there may be values, before it is read."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    depth = opened = 0
    for token in _TOKEN.finditer(raw):
        first = raw[token.start()]
        if first in b"[{":
            depth, opened = depth + 1, opened + 1
            if depth > MAX_DEPTH:
                raise InvalidOutput("", f"is nested more than {MAX_DEPTH} deep")
            if opened > MAX_NODES:
                raise _too_many()
        elif first in b"]}":
            depth -= 1


def _walk(value: Any) -> None:
    """Refuse NUL, surrogates and too many nodes; breadth is bounded by the bytes, depth by the scan."""
    nodes = 1
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, dict | list):
            nodes += len(node) * (2 if isinstance(node, dict) else 1)
            if nodes > MAX_NODES:
                raise _too_many()
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


def _too_many() -> InvalidOutput:
    return InvalidOutput("", f"more than {MAX_NODES} values")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidOutput(_plain(twice), "is given twice")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidOutput("", f"the number {digits[:40]} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > 20 or not -INT64 <= (value := int(digits)) < INT64:
        raise InvalidOutput("", f"the number {digits[:40]} does not fit into 64 bits")
    return value


class _NoNumber(Exception):
    """A NaN or an infinity, by the name under which it stands in the text."""


def _constant(name: str) -> NoReturn:
    raise _NoNumber(name)


def _where(text: str) -> str:
    """The path of the first NaN or infinity in `text`; "" where the rest of it is no JSON either."""
    try:
        value = json.loads(text, parse_constant=lambda _: _NoNumber, parse_float=str, parse_int=str)
    except ValueError:
        return ""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, node = stack.pop()
        if node is _NoNumber:
            return path
        stack += reversed([(below[:MAX_PATH], child) for below, child in _children(path, node)])
    return ""


def _children(path: str, node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        return [(f"{path}.{_plain(key)}" if path else _plain(key), child) for key, child in node.items()]
    return [(f"{path}[{i}]", child) for i, child in enumerate(node)] if isinstance(node, list) else []


def _plain(text: str) -> str:
    return text.encode(errors="replace").decode()[:MAX_PATH]


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_float=_float, parse_int=_int, parse_constant=_constant, strict=True
)
