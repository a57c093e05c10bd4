"""DocBin: read the documents of spaCy's binary format (`.spacy`) without spaCy. Pure.

Format: spaCy 3, spacy/tokens/_serialize.py (DocBin, version 0.1): a message of MessagePack, compressed by zlib, with
the attributes of all tokens as 64-bit numbers. Texts are numbers too: their hash is MurmurHash64A of Austin Appleby
with the seed 1, and the list `strings` has the texts. A few hundred names of spaCy have small numbers instead.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from labelloop.errors import UsageError
from labelloop.outputs.formats.docbin_numbers import NAMES

ORTH, ENT_IOB, ENT_TYPE = 65, 77, 78
"""Numbers of spaCy's attributes: the word; whether it is in an entity (1), outside (2) or begins one (3); its label."""
_M, _ALL = 0xC6A4A7935BD1E995, (1 << 64) - 1
MAX_BYTES = 1 << 30
"""Largest number of bytes of a file, uncompressed."""


def docs(raw: bytes, name: str) -> Iterator[dict[str, Any]]:
    """Yield the documents: `text`, `ents` with start, end and label in characters, and `cats`.

    `name` is for messages. Raises UsageError if it is no DocBin.
    """
    try:
        unpacker = zlib.decompressobj()
        message = unpack(unpacker.decompress(raw, MAX_BYTES))
        if unpacker.unconsumed_tail:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MB")
        attrs: list[int] = list(message["attrs"])
        strings = NAMES | {hash64(text.encode()): text for text in message["strings"]}
        tokens = np.frombuffer(message["tokens"], dtype="<u8").reshape(-1, len(attrs))
        spaces = np.frombuffer(message["spaces"], dtype=np.bool_)
        lengths = np.frombuffer(message["lengths"], dtype="<i4").tolist()
        cats, flags = list(message["cats"]), list(message.get("flags") or [{}] * len(lengths))
        if sum(lengths) != len(tokens) or len(spaces) != len(tokens) or len(cats) != len(lengths):
            raise ValueError("the number of tokens does not fit")
    except (zlib.error, ValueError, KeyError, TypeError, IndexError, struct.error, AttributeError) as exc:
        raise UsageError(f"{name} is no DocBin of spaCy 3: {exc}") from None
    column = {attr: i for i, attr in enumerate(attrs)}
    at = 0
    for i, length in enumerate(lengths):
        of_doc, blanks = tokens[at : at + length], spaces[at : at + length]
        at += length
        words = [strings.get(int(word), "\ufffd") for word in of_doc[:, column[ORTH]]]
        blank = [True] * length if flags[i].get("has_unknown_spaces") else blanks.tolist()
        text, places = "", []
        for word, follows in zip(words, blank, strict=True):
            places.append((len(text), len(text) + len(word)))
            text += word + " " * follows
        made: dict[str, Any] = {"text": text, "cats": dict(cats[i])}
        if ENT_IOB in column and ENT_TYPE in column:
            made["ents"] = _entities(of_doc[:, column[ENT_IOB]], of_doc[:, column[ENT_TYPE]], places, strings)
        yield made


def _entities(iob: Any, types: Any, places: list[tuple[int, int]], strings: Mapping[int, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for state, type_, (start, end) in zip(iob.tolist(), types.tolist(), places, strict=True):
        if state == 3:
            found.append({"start": start, "end": end, "label": strings.get(type_, "")})
        elif state == 1 and found:
            found[-1]["end"] = end
    return [one for one in found if one["label"]]


def hash64(raw: bytes) -> int:
    """Return MurmurHash64A with the seed 1."""
    hashed = 1 ^ (len(raw) * _M & _ALL)
    whole = len(raw) & ~7
    for (number,) in struct.iter_unpack("<Q", raw[:whole]):
        k = number * _M & _ALL
        mixed = (k ^ k >> 47) * _M & _ALL
        hashed = (hashed ^ mixed) * _M & _ALL
    if tail := raw[whole:]:
        hashed = (hashed ^ int.from_bytes(tail, "little")) * _M & _ALL
    hashed = (hashed ^ hashed >> 47) * _M & _ALL
    return hashed ^ hashed >> 47


# -- MessagePack: https://github.com/msgpack/msgpack/blob/master/spec.md ------------------------------------------

_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_SIZES = {1: ">B", 2: ">H", 4: ">I"}
_MOST_DEPTH = 32


def unpack(raw: bytes) -> Any:
    """Return the one value of a message. Raises ValueError; extension types are refused."""
    value, at = _value(raw, 0, 0)
    if at != len(raw):
        raise ValueError("more follows the message")
    return value


def _value(raw: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(raw) or depth > _MOST_DEPTH:
        raise ValueError("the message ends too early" if at >= len(raw) else "the message nests too deeply")
    first, at = raw[at], at + 1
    if first < 0x80 or first >= 0xE0:
        return (first if first < 0x80 else first - 256), at
    if first < 0x90:
        return _map(raw, at, first & 15, depth)
    if first < 0xA0:
        return _list(raw, at, first & 15, depth)
    if first < 0xC0:
        return _bytes(raw, at, first & 31, text=True)
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
    if first in _NUMBERS:
        (number,) = struct.unpack_from(_NUMBERS[first], raw, at)
        return number, at + struct.calcsize(_NUMBERS[first])
    for lowest, widths, read in (
        (0xC4, (1, 2, 4), "bin"),
        (0xD9, (1, 2, 4), "str"),
        (0xDC, (2, 4), "list"),
        (0xDE, (2, 4), "map"),
    ):
        if lowest <= first < lowest + len(widths):
            width = widths[first - lowest]
            (size,) = struct.unpack_from(_SIZES[width], raw, at)
            at += width
            if read == "map":
                return _map(raw, at, size, depth)
            return _list(raw, at, size, depth) if read == "list" else _bytes(raw, at, size, text=read == "str")
    raise ValueError(f"the message has a value of the unknown type {first:#x}")


def _bytes(raw: bytes, at: int, size: int, *, text: bool) -> tuple[Any, int]:
    found = raw[at : at + size]
    if len(found) < size:
        raise ValueError("the message ends too early")
    return (found.decode() if text else found), at + size


def _list(raw: bytes, at: int, size: int, depth: int) -> tuple[list[Any], int]:
    found = []
    for _ in range(size):
        value, at = _value(raw, at, depth + 1)
        found.append(value)
    return found, at


def _map(raw: bytes, at: int, size: int, depth: int) -> tuple[dict[Any, Any], int]:
    found = {}
    for _ in range(size):
        key, at = _value(raw, at, depth + 1)
        found[key], at = _value(raw, at, depth + 1)
    return found, at
