"""Malformed outputs that break Label Studio, Postgres or Python's reader of JSON, one name a case.

Every way in must refuse each of them, alone and in the middle of a batch. The loop is that of `intake_client`.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.intake_client import output


def body(key: str, **changes: Any) -> bytes:
    """Return a valid output with changes, as JSON."""
    return json.dumps(output(key, **changes)).encode()


def _with(text: bytes) -> bytes:
    """Return an output whose data holds this JSON value."""
    return body("bad").replace(b'"miaow"', text)


MALFORMED = {
    "nothing": b"",
    "blanks": b"  ",
    "no JSON": b"{nonsense",
    "half of an output": body("bad")[:40],
    "two outputs": body("bad") + body("bad-2"),
    "two lines": body("bad") + b"\n" + body("bad-2"),
    "a list": b"[" + body("bad") + b"]",
    "a number": b"7",
    "NUL in a value": _with(b'"a\\u0000"'),
    "NUL in a name": body("bad", data={"text": "x", "a\0": 1}),
    "a NUL byte": _with(b'"a\x00"'),
    "half of a surrogate pair": _with(b'"\\ud800"'),
    "1e999": _with(b"1e999"),
    "a confidence of 1e999": body("bad").replace(b"0.6", b"1e999"),
    "NaN": _with(b"NaN"),
    "infinity": _with(b"-Infinity"),
    "400 digits": _with(b"9" * 400),
    "5,000 digits": _with(b"9" * 5_000),
    "1e200000": _with(b"1e200000"),
    "invalid UTF-8": _with(b'"\xff"'),
    "a byte order mark": b"\xef\xbb\xbf" + body("bad"),
    "UTF-16": body("bad").decode().encode("utf-16"),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(20),
    "a name twice": body("bad")[:-1] + b', "key": "other"}',
    "depth 500": _with(b"[" * 500 + b"]" * 500),
    "depth 100,000": _with(b"[" * 100_000 + b"]" * 100_000),
    "many values": _with(b"[" + b"0," * 60_000 + b"0]"),
    "a text for a number": body("bad", probabilities={"cat": "0.5", "dog": 0.5}),
    "an unknown label": body("bad", probabilities={"cow": 1.0}),
    "an unknown field": body("bad", colour="red"),
    "no key": json.dumps({k: v for k, v in output().items() if k != "key"}).encode(),
    "a key with a line end": body("a\nb"),
    "a year beyond 9999": body("bad", produced_at="10000-01-01T00:00:00Z"),
    "the time infinity": body("bad", produced_at="infinity"),
    "a label that no loop has": body("bad", probabilities=None, label="cow"),
    "more than a mebibyte": body("bad", data={"text": "x" * (1 << 20)}),
}
