"""Malformed JSON that breaks Label Studio, Postgres or Python's reader of JSON, one name a case.

Every way in must refuse each case, alone and in the middle of a batch. The loop is that of `intake_client`.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.support.data.outputs import REGION
from tests.support.intake_client import output


def body(key: str, **changes: Any) -> bytes:
    """Return a valid output with changes, as JSON."""
    return json.dumps(output(key, **changes)).encode()


VALUES = {
    "NUL in a value": b'"a\\u0000"',
    "NUL in a name": b'{"a\\u0000": 1}',
    "a NUL byte": b'"a\x00"',
    "half of a surrogate pair": b'"\\ud800"',
    "the other half of a surrogate pair": b'"\\udc00"',
    "half of a surrogate pair in a name": b'{"\\ud800": 1}',
    "1e999": b"1e999",
    "-1e999 in a list": b"[-1e999]",
    "1e200000": b"1e200000",
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "19 digits beyond 64 bits": b"9223372036854775808",
    "400 digits": b"9" * 400,
    "5,000 digits": b"9" * 5_000,
    "invalid UTF-8": b'"\xff"',
    "half of a surrogate pair in UTF-8": b'"\xed\xa0\x80"',
    "a name twice in an object": b'{"a": 1, "a": 2}',
    "depth 500": b"[" * 500 + b"]" * 500,
    "depth 6,000": b'{"a":' * 6_000 + b"1" + b"}" * 6_000,
    "depth 100,000": b"[" * 100_000 + b"]" * 100_000,
    "many values": b"[" + b"0," * 60_000 + b"0]",
    "many lists": b"[" + b"[]," * 60_000 + b"0]",
}
"""JSON values that may stand nowhere."""

AT = b'"miaow"'
"""The value in a body that the others are put in the place of."""


def spoiled(good: bytes) -> dict[str, bytes]:
    """Return this JSON object, which holds the value AT, spoiled in every way that does not depend on its fields."""
    assert good.count(AT) == 1
    assert good.endswith(b"}")
    return {
        "nothing": b"",
        "blanks": b"  ",
        "no JSON": b"{nonsense",
        "half of an object": good[: len(good) // 2],
        "two objects": good + good,
        "two lines": good + b"\n" + good.replace(b'"bad"', b'"bad-2"'),
        "a list": b"[" + good + b"]",
        "a number": b"7",
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "gzip": gzip.compress(good, mtime=0),
        "a field twice": good[:-1] + b", " + good[1:],
        "an unknown field": good[:-1] + b', "colour": "red"}',
        **{name: good.replace(AT, value) for name, value in VALUES.items()},
    }


_LABEL = {"probabilities": None, "label": "cat"}
_RESULT = {"probabilities": None, "result": [REGION], "score": 0.75}
_UNKNOWN = {"probabilities": None, "result": [{**REGION, "value": {"choices": ["cow"]}}]}

MALFORMED = {
    **spoiled(body("bad")),
    "a confidence of 1e999": body("bad").replace(b"0.6", b"1e999"),
    "a confidence of NaN": body("bad").replace(b"0.6", b"NaN"),
    "a confidence above 1": json.dumps({**output("bad"), **_LABEL, "confidence": 1.01}).encode(),
    "a boolean for a confidence": json.dumps({**output("bad"), **_LABEL, "confidence": True}).encode(),
    "a score of 1e999": body("bad", **_RESULT).replace(b"0.75", b"1e999"),
    "a score below 0": body("bad", **_RESULT).replace(b"0.75", b"-0.1"),
    "a text for a number": body("bad", probabilities={"cat": "0.5", "dog": 0.5}),
    "an unknown label": body("bad", probabilities={"cow": 1.0}),
    "a label that no loop has": body("bad", probabilities=None, label="cow"),
    "a result with an unknown label": body("bad", **_UNKNOWN),
    "no key": json.dumps({k: v for k, v in output().items() if k != "key"}).encode(),
    "an empty key": body(""),
    "a number for a key": json.dumps(output(7)).encode(),
    "a key of 501 bytes": body("k" * 501),
    "a key with a line end": body("a\nb"),
    "a key with NUL": body("a\0b"),
    "a key that turns the direction of a text": body("a\u202eb"),
    "a key with blanks around it": body(" bad "),
    "a year beyond 9999": body("bad", produced_at="10000-01-01T00:00:00Z"),
    "the time infinity": body("bad", produced_at="infinity"),
    "more than a mebibyte": body("bad", data={"text": "x" * (1 << 20)}),
}
