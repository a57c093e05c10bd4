"""CoNLL: one token a line with its tags in columns, the last of which names the entities; a blank line ends a sentence.

Format: Tjong Kim Sang and De Meulder 2003 (https://aclanthology.org/W03-0419). The tags may be of IOB1, BIO (IOB2),
BIOES or BILOU: one reader does for all of them. A file has neither the blanks between the tokens nor keys and people.
Our export puts key and text into the line -DOCSTART-, which readers of the format skip, so that nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from labelloop.errors import InvalidOutput
from labelloop.labeling.controls import Kind
from labelloop.labeling.kinds import form
from labelloop.labeling.kinds.spans import Span, read_spans
from labelloop.outputs.formats.items import Bad, Given, How, Item, Read, Row, Tally, claimed, put
from labelloop.reading.paths import value_at

START = "-DOCSTART-"
BLANKS = "blanks between tokens: each becomes one blank"
CUT = "spans that begin or end within a token, which are widened to whole tokens"
OVERLAPS = "spans that overlap a longer one: a token has one tag"
LABEL = "labels with blanks, which get _ in their place"
OTHER_PARTS = "answers to the other controls of the form"
_TOKEN = re.compile(r"\w+|[^\w\s]")
_BEGINS, _ENDS = "BSU", "SUEL"
_PREFIXES = "BIOESUL"


@dataclass(slots=True)
class _Text:
    """A text that is being read, token by token."""

    line: int
    key: str | None = None
    given: str | None = None
    """The whole text, if the file has it."""
    tokens: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


def read(lines: Iterable[str], how: How, tally: Tally) -> Read:
    """Yield the item of each sentence; of each text, where the file is an export of ours.

    Raises InvalidOutput if the answers of the loop are no spans.
    """
    how.part(Kind.SPANS)
    for number, text in enumerate(_texts(lines), start=1):
        if text.faults:
            yield from (Bad(line, text.key, "", why) for line, why in text.faults)
            continue
        try:
            yield _item(text, number, how, tally)
        except InvalidOutput as exc:
            yield Bad.of(text.line, exc, text.key)


def _texts(lines: Iterable[str]) -> Iterator[_Text]:
    text: _Text | None = None
    width = 0
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if cells and cells[0] == START:
            if text is not None and text.tokens:
                yield text
            told = dict(cell.split("=", 1) for cell in cells[1:] if "=" in cell)
            whole = told.get("text")
            text = _Text(
                number, unquote(told["key"]) if "key" in told else None, None if whole is None else unquote(whole)
            )
        elif not cells:
            if text is not None and text.given is None:
                if text.tokens or text.faults:
                    yield text
                text = None
        else:
            text = text or _Text(number)
            width = width or len(cells)
            if len(cells) < 2 or len(cells) != width:
                text.faults.append((number, f"has {len(cells)} columns; {width if width > 1 else 2} are wanted"))
            elif cells[-1] != "O" and (cells[-1][0] not in _PREFIXES or cells[-1][1:2] != "-"):
                text.faults.append(
                    (number, f"the last column must be O or a tag such as B-PER; it is {cells[-1][:40]!r}")
                )
            else:
                text.tokens.append((cells[0], cells[-1]))
    if text is not None and (text.tokens or text.faults):
        yield text


def _item(text: _Text, number: int, how: How, tally: Tally) -> Item:
    whole, places = _places(text)
    tally[BLANKS] += text.given is None
    spans = [list(span) for span in spans_of([tag for _, tag in text.tokens], places)]
    answer = how.answer(lambda control: spans if control.kind is Kind.SPANS else None)
    data = put({}, how.shown, whole)
    output: dict[str, Any] = {"key": how.key_of(data, text.key, number=number), "data": data}
    if how.as_predictions:
        return Item(text.line, claimed(how, output, answer))
    return Item(text.line, output, [Given(None, answer)])


def _places(text: _Text) -> tuple[str, list[tuple[int, int]]]:
    """Return the text, and where each token is in it."""
    places, at = [], 0
    if text.given is None:
        for token, _ in text.tokens:
            places.append((at, at + len(token)))
            at += len(token) + 1
        return " ".join(token for token, _ in text.tokens), places
    for token, _ in text.tokens:
        start = text.given.find(token, at)
        if start < 0:
            raise InvalidOutput("", f"the token {token[:40]!r} is not in the text of the line {START}")
        at = start + len(token)
        places.append((start, at))
    return text.given, places


def spans_of(tags: Sequence[str], places: Sequence[tuple[int, int]]) -> list[Span]:
    """Return the spans that the tags name, with the characters of their tokens. Each tag is O or has a prefix.

    I- continues a span of the same label and begins one after another label, as in IOB1.
    """
    found: list[Span] = []
    is_open = False
    for tag, (start, end) in zip(tags, places, strict=True):
        prefix, label = tag[0], tag[2:]
        if tag == "O":
            is_open = False
            continue
        if is_open and prefix not in _BEGINS and found[-1].label == label:
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Span(start, end, label))
        is_open = prefix not in _ENDS
    return found


# -- writing -----------------------------------------------------------------------------------------------------


def write(row: Row, how: How, tally: Tally) -> str:
    """Return the lines of an answered text, in BIO. `row` is as in labelloop/outputs/formats/rows.py.

    Raises InvalidOutput if it has no text.
    """
    control = how.part(Kind.SPANS)
    text = value_at(row["data"], control.data_field)
    if not isinstance(text, str):
        raise InvalidOutput("data", f"has no text in {control.data_field!r}")
    given = form.part_of(control, row["answer"]) if how.config.answer.parts else row["answer"]
    places = [match.span() for match in _TOKEN.finditer(text)]
    tags = ["O"] * len(places)
    for span in sorted(read_spans(given or "[]"), key=lambda one: (one.start - one.end, one)):
        inside = [i for i, (start, end) in enumerate(places) if start < span.end and span.start < end]
        if not inside or any(tags[i] != "O" for i in inside):
            tally[OVERLAPS] += 1
            continue
        tally[CUT] += places[inside[0]][0] != span.start or span.end != places[inside[-1]][1]
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{'_'.join(span.label.split())}"
        tally[LABEL] += bool(span.label.split()[1:])
    tally[OTHER_PARTS] += len(how.parts) > 1
    lines = [f"{START} key={quote(row['key'], safe='')} text={quote(text, safe='')} O", ""]
    lines += [f"{text[start:end]} -X- -X- {tag}" for (start, end), tag in zip(places, tags, strict=True)]
    return "\n".join(lines) + "\n\n"
