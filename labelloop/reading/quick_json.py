"""Quick JSON: what strict_json reads and writes, several times as fast. Where unsure, it leaves it to strict_json.

It rests on msgspec, which the light client does not have, so only the services use it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec

from labelloop.reading import strict_json

DEPTH = 8
"""Levels of lists and objects that are read here; strict_json reads deeper ones."""

_Number = Annotated[int, msgspec.Meta(ge=-strict_json.INT64, le=strict_json.INT64 - 1)] | float
_Value: Any = None | bool | _Number | str
for _ in range(DEPTH):
    _Value = None | bool | _Number | str | list[_Value] | dict[str, _Value]

_decode = msgspec.json.Decoder(_Value).decode
_encode = msgspec.json.Encoder(order="sorted").encode
_SAME_TEXT = {str, bool, int, type(None)}
"""Types that msgspec writes like Python."""


def loads(raw: bytes) -> Any:
    """Return strict_json.loads(raw), or raise what it raises."""
    # NUL and half of a surrogate pair can only be written with \u. A shorter text has no more values than are allowed.
    if len(raw) > strict_json.MAX_NODES or b"\\u" in raw:
        return strict_json.loads(raw)
    try:
        value = _decode(raw)
    except ValueError:
        return strict_json.loads(raw)  # which says what is wrong
    # msgspec keeps the last value of a name that is given twice: then the value has fewer texts than `raw`.
    return value if _count_texts(_encode(value)) == _count_texts(raw) else strict_json.loads(raw)


def dumps(value: Any) -> str:
    """Return strict_json.dumps(value), or raise what it raises."""
    kinds = set(map(type, value.values() if type(value) is dict else (value,)))
    if kinds == {float} and type(value) is dict:
        return _numbers(value)
    if kinds <= _SAME_TEXT:
        try:
            return _encode(value).decode()
        except (ValueError, TypeError, OverflowError):
            pass
    return strict_json.dumps(value)


def _numbers(numbers: dict[str, float]) -> str:
    """Write an object of floats: msgspec writes them like Python, except some that Python writes with an exponent."""
    names = sorted(numbers)
    text = _encode([numbers[name] for name in names]).decode()
    texts = text[1:-1].split(",")
    if "e" in text or ".0000" in text or "null" in text:
        texts = [
            strict_json.dumps(numbers[name]) if "e" in one or ".0000" in one or one == "null" else one
            for name, one in zip(names, texts, strict=True)
        ]
    return _template(tuple(names)) % tuple(texts)


@lru_cache(maxsize=20)
def _template(names: tuple[str, ...]) -> str:
    """Return the JSON of an object with these names, with %s for each value."""
    return "{" + ",".join(f"{strict_json.dumps(name).replace('%', '%%')}:%s" for name in names) + "}"


def _count_texts(raw: bytes) -> int:
    """Return the number of texts in valid JSON, names included."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return raw.count(b'"') // 2
