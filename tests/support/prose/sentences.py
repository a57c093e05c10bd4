"""Sentences: a passage of prose divided into paragraphs and sentences, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SQL = re.compile(
    r"\s*(with|select|insert into|update|delete from|create|alter|drop|lock|truncate|explain|begin|grant|revoke|from|"
    r"where|and|or|join|left join|order by|group by|on|set|notify|listen|values|returning)\b.*"
    r"(%\(|%s|=|\*|\(|\bfrom\b|\bset\b|\btable\b|\bindex\b|\brole\b|\bdatabase\b)",
    re.DOTALL,
)
TABULAR = re.compile(r"^\s*\S.*?\S {2,}\S|[│├└─▶]", re.MULTILINE)
"""A line in columns, as in a list of names and what they mean, or of a drawing."""
SHORT = 80
"""Characters: a line that ends earlier without a full stop was not wrapped, it ended."""
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|et al|vs|cf|approx|Statist|Proc|Conf|Trans|pp)|\b[A-Z])\.$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of prose. Blank lines divide its paragraphs; `{}` stands for a value that is filled in."""

    path: str
    line: int
    """Line of its first character, from 1."""
    text: str
    kind: str
    """One of: module, class, function, predicate (a function that returns a bool), attribute, constant (the docstring
    of a number), comment, message, page, heading, test."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences that belong together."""

    path: str
    line: int
    sentences: tuple[tuple[int, str], ...]
    """Line and words of each, in order. Inline code and links are one word."""
    kind: str
    first: bool
    """Whether it opens its passage."""


def paragraphs(passage: Passage) -> Iterator[Paragraph]:
    """The paragraphs of a passage, divided into sentences. A list item is a paragraph of its own."""
    text, first = _plain(passage.text), True
    for start, piece in _paragraphs(text):
        line = passage.line + text[:start].count("\n")
        found = []
        for offset, sentence in _sentences(piece):
            words = " ".join(sentence.split())
            if re.search(r"[^\W\d_]", words):
                found.append((line + piece[:offset].count("\n"), words))
        if found:
            yield Paragraph(passage.path, found[0][0], tuple(found), passage.kind, first)
            first = False


def is_prose(text: str, words: int = 3) -> bool:
    """Whether a literal reads as words: most of them letters, not SQL, not data."""
    tokens = text.split()
    plain = [
        token
        for token in tokens
        if re.fullmatch(r"[\"'(]*[A-Za-z]+(?:['’-][A-Za-z]+)*[.,;:!?)\"']*|\{\}[.,;:)]*", token)
    ]
    letters = [token for token in plain if "{" not in token]
    return len(tokens) >= words and len(letters) >= 2 and len(plain) >= 0.6 * len(tokens) and not SQL.match(text)


def lines(match: re.Match[str]) -> str:
    """The line ends of a match that is removed, so that later lines keep their numbers."""
    return "\n" * match[0].count("\n")


def _plain(text: str) -> str:
    """Inline code, links and sources as one word or none; the number of lines stays."""
    text = re.sub(r"``?[^`]+``?", lambda match: "X" + lines(match), text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\s*\((?:[^()]*(?:doi:|arXiv:|\b(?:19|20)\d\d\b|https?://)[^()]*)\)", lines, text)
    return re.sub(r"\*{1,2}(?=\S)([^*\n]+)(?<=\S)\*{1,2}", r"\1", text)


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    start, before = 0, ""
    for match in re.finditer(r"[^\n\x00\x08]*(?:[\n\x00\x08]|$)", text):
        line = match[0]
        if _begins(before, line):
            yield start, text[start : match.start()]
            start = match.start()
        before = line if line.endswith("\n") else ""
        if line.endswith(("\x00", "\x08")):
            yield start, text[start : match.end() - 1]
            start = match.end()
    yield start, text[start:]


def _begins(before: str, line: str) -> bool:
    """Whether a line begins a paragraph: a blank one, a list item, a row of a table, or what follows a short line."""
    if not line.strip() or re.match(r"\s*(?:[-*]|\d+\.) |\s{8,}\S", line):
        return True
    if TABULAR.search(line) or TABULAR.search(before):
        return True
    return (
        len(before) < SHORT and re.search(r"[\w)]\s*$", before) is not None and re.match(r"\s*[A-Z]", line) is not None
    )


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for match in re.finditer(r"[.!?][\"')\]”’]*\s+(?=[\"'(\[“‘<]*[A-Z0-9{])", text):
        if ABBREVIATION.search(text[start : match.start() + 1]):
            continue
        yield _stripped(start, text[start : match.end()])
        start = match.end()
    yield _stripped(start, text[start:])


def _stripped(start: int, text: str) -> tuple[int, str]:
    return start + len(text) - len(text.lstrip()), text.strip()
