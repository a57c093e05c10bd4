"""JSON parts: the elements of the lists in a large JSON file, one after the other, each with its line.

A file is either a list of elements, or an object with lists of elements, such as COCO's `images` and `annotations`.
Only one element is in memory at a time. An element that is not JSON in itself does not end the reading if its brackets
and quotation marks fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from labelloop.errors import UsageError

CHUNK = 1 << 20
"""Bytes that are read at once."""
MAX_PART = 64 << 20
"""Largest number of bytes of one element."""
_TEXT = rb'"(?:[^"\\]++|\\.)*+("?)'
_MARK = re.compile(_TEXT + rb"|[{}\[\],:]", re.DOTALL)
_BRACKET = re.compile(_TEXT + rb"|[{}\[\]]", re.DOTALL)
"""A whole text or a bracket; within a value, commas and colons do not matter."""


class Part(NamedTuple):
    """One element of a list, or a value of the object around the lists."""

    section: str
    """Name of the list in the object around it; "" if the file is a list."""
    line: int
    """Line on which it begins, from 1."""
    offset: int
    """Number of bytes before it in the file."""
    raw: bytes


def parts(file: BinaryIO, name: str) -> Iterator[Part]:
    """Yield the elements of the file's lists in their order; a value that is no list is yielded as one part.

    `name` is for messages. Raises UsageError if the file is neither a list nor an object, or if it ends too early.
    """
    scanner = _Scanner(file, name)
    first = scanner.first()
    if first == b"[":
        yield from scanner.elements("")
    elif first == b"{":
        while (section := scanner.section()) is not None:
            if scanner.opens_list():
                yield from scanner.elements(section)
            else:
                yield scanner.value(section, b",}")
    else:
        raise UsageError(f"{name} is neither a JSON list nor a JSON object: it begins with {first!r}")
    scanner.end()


class _Scanner:
    """A position in the file. `_buffer` holds what is read from `_start` on, and `_at` is the position in it.

    The buffer is cut only when more is read: to copy it for each element would be slow.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._buffer = b""
        self._start = 0
        self._at = 0
        self._line = 1

    def first(self) -> bytes:
        """Return the first character that is no blank, and step over it."""
        found = self._peek()
        if found == b"\xef":  # the byte order mark of UTF-8
            self._at += 3
            found = self._peek()
        self._at += 1
        return found

    def section(self) -> str | None:
        """Return the next name in the object, and step over the colon; None at its end."""
        found = self._peek()
        if found == b",":
            self._at += 1
            found = self._peek()
        if found == b"}":
            self._at += 1
            return None
        if found != b'"':
            raise self._fault(f"a name in quotation marks is wanted; there is {found!r}")
        raw = self.value("", b":").raw
        self._at += 1
        return raw[1:-1].decode(errors="replace")

    def opens_list(self) -> bool:
        """Whether a list begins here; then step into it."""
        is_list = self._peek() == b"["
        self._at += is_list
        return is_list

    def elements(self, section: str) -> Iterator[Part]:
        if self._peek() == b"]":
            self._at += 1
            return
        while True:
            yield self.value(section, b",]")
            self._at += 1
            if self._buffer[self._at - 1 : self._at] == b"]":
                return

    def value(self, section: str, ends: bytes) -> Part:
        """Return the value that begins here. `ends` has the characters that may follow it; it stops before them."""
        self._peek()
        line, offset = self._line, self._start + self._at
        depth, at = 0, self._at
        while True:
            match = (_BRACKET if depth else _MARK).search(self._buffer, at)
            if match is None or match[1] == b"":  # the text goes on behind what is read
                at = (len(self._buffer) if match is None else match.start()) - self._at
                if not self._more():
                    raise self._fault(f"ends within the value that begins on line {line}")
                continue
            mark, at = match[0], match.end()
            if depth == 0 and mark in (ends[:1], ends[1:]):
                begin, self._at = self._at, match.start()
                raw = self._buffer[begin : self._at]
                self._line += raw.count(b"\n")
                return Part(section, line, offset, raw.rstrip())
            if mark in b"{[":
                depth += 1
            elif mark in b"}]":
                depth -= 1
                if depth < 0:
                    raise self._fault(f"{mark.decode()!r} closes nothing")

    def end(self) -> None:
        """Check that nothing follows."""
        if (rest := self._peek(may_end=True)) != b"":
            raise self._fault(f"{rest!r} follows the end of the JSON value; a file with one object a line is JSONL")

    def _peek(self, *, may_end: bool = False) -> bytes:
        """Return the next character that is no blank, without stepping over it."""
        while True:
            while self._at < len(self._buffer):
                found = self._buffer[self._at : self._at + 1]
                if not found.isspace():
                    return found
                self._line += found == b"\n"
                self._at += 1
            if not self._more():
                if may_end:
                    return b""
                raise self._fault("ends too early")

    def _more(self) -> bool:
        """Read on, and forget what is before the position, which is 0 then. Returns whether anything was read."""
        self._buffer = self._buffer[self._at :]
        self._start += self._at
        self._at = 0
        if len(self._buffer) > MAX_PART:
            raise self._fault(f"one element has more than {MAX_PART >> 20} MB")
        read = self._file.read(CHUNK)
        self._buffer += read
        return bool(read)

    def _fault(self, message: str) -> UsageError:
        return UsageError(f"{self._name}, line {self._line}: {message}")
