"""Relabel: put other labels into a labels.xml. Only the tags of these labels change, every other letter stays. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import escape

from labelloop.errors import SpecError
from labelloop.labeling.form_xml import plain

_CONDITIONS = ("whenChoiceValue", "whenLabelValue", "whenValue")
"""Attributes by which another tag of the form depends on a label."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """The tag of a label, by its place in the bytes of the form."""

    label: str
    attributes: Mapping[str, str]
    begin: int
    tag_end: int
    """Behind the sign > of the start tag."""
    end: int
    line: int


def relabel(xml: str, control: str, removed: Sequence[str], added: Sequence[str], *, rename: bool = False) -> str:
    """Return the form in which the Choices `control` has the labels `added` in the place of `removed`.

    The first new label takes the tag of the first removed one with its attributes, such as a colour and a hotkey.
    Without any removed label the new ones come last. With `rename`, a label that is an alias stays one.

    Raises SpecError, with the line, if a condition of the form names a removed label.
    """
    mark, form = ("\ufeff", xml[1:]) if xml.startswith("\ufeff") else ("", xml)
    content = form.encode()
    choices, last = _choices(content, plain(form).encode(), control, removed)
    ours = {choice.label: choice for choice in choices}
    gone = [ours[label] for label in removed if label in ours]
    if not gone:
        if not added:
            return xml
        before = choices[-1] if choices else None
        at = before.end if before else last
        return mark + (content[:at] + _further(content, before, added) + content[at:]).decode()
    first, changes = gone[0], list[tuple[int, int, bytes]]()
    if added:
        tag = _named(content[first.begin : first.tag_end].decode(), first, added[0], rename).encode()
        new = tag + content[first.tag_end : first.end] + _further(content, first, added[1:])
        changes.append((first.begin, first.end, new))
    changes += [(*_whole_line(content, choice), b"") for choice in gone[bool(added) :]]
    for begin, end, new in sorted(changes, reverse=True):
        content = content[:begin] + new + content[end:]
    return mark + content.decode()


def _choices(content: bytes, read: bytes, control: str, removed: Sequence[str]) -> tuple[list[_Choice], int]:
    """Return the choices of the control, in their order, and the place before its end tag."""
    parser = expat.ParserCreate("utf-8")
    found, open_, inside, last = list[_Choice](), list[tuple[str, dict[str, str], int, int]](), [0], [0]

    def start(tag: str, attributes: dict[str, str]) -> None:
        named = next((name for name in _CONDITIONS if set(attributes.get(name, "").split(",")) & set(removed)), None)
        if named:
            words = f"labels.xml: {named} names {attributes[named]!r}: a condition of the form depends on this label"
            raise SpecError(f"{words}. Change that line first", line=parser.CurrentLineNumber)
        open_.append((tag, attributes, parser.CurrentByteIndex, parser.CurrentLineNumber))
        inside[0] += bool(inside[0] or attributes.get("name") == control)

    def end(tag: str) -> None:
        _, attributes, begin, line = open_.pop()
        if inside[0] == 1:
            last[0] = parser.CurrentByteIndex
        if inside[0] > 1 and tag == "Choice" and (label := attributes.get("alias") or attributes.get("value")):
            tag_end = _tag_end(content, begin)
            alone = content[tag_end - 2 : tag_end] == b"/>"
            behind = tag_end if alone else content.index(b">", parser.CurrentByteIndex) + 1
            found.append(_Choice(label, attributes, begin, tag_end, behind, line))
        inside[0] -= bool(inside[0])

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(read, True)
    return sorted(found, key=lambda choice: choice.begin), last[0]


def _tag_end(content: bytes, begin: int) -> int:
    """Return the place behind the start tag that begins here; a quoted value may hold the sign >."""
    found = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""").match(content, begin)
    assert found is not None  # the form was parsed
    return found.end()


def _named(tag: str, choice: _Choice, label: str, rename: bool) -> str:
    """Return the start tag of a choice with another label."""
    alias, value = choice.attributes.get("alias"), choice.attributes.get("value")
    if alias and rename:
        tag = _with(tag, "alias", label)
        return _with(tag, "value", label) if value == alias else tag
    if alias:
        tag = re.sub(r"""\s+alias\s*=\s*("[^"]*"|'[^']*')""", "", tag, count=1)
    return _with(tag, "value", label)


def _with(tag: str, name: str, value: str) -> str:
    """Return the start tag with another value of this attribute, in the quotes that it had."""

    def written(found: re.Match[str]) -> str:
        quote = found[2]
        return f"{found[1]}{quote}{_escaped(value, quote)}{quote}"

    return re.sub(rf"""(\s{name}\s*=\s*)(["'])(?:(?!\2).)*\2""", written, tag, count=1, flags=re.DOTALL)


def _escaped(value: str, quote: str = '"') -> str:
    return escape(value, {quote: "&quot;" if quote == '"' else "&apos;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _further(content: bytes, before: _Choice | None, labels: Sequence[str]) -> bytes:
    """Return the tags of further labels, each on a line of its own if `before` has one."""
    gap = b""
    if before is not None:
        line = content.rfind(b"\n", 0, before.begin) + 1
        if not content[line : before.begin].strip() and line:
            ends = b"\r\n" if content[line - 2 : line] == b"\r\n" else b"\n"
            gap = ends + content[line : before.begin]
    return b"".join(gap + f'<Choice value="{_escaped(label)}"/>'.encode() for label in labels)


def _whole_line(content: bytes, choice: _Choice) -> tuple[int, int]:
    """Return begin and end of what goes with a removed choice: its whole lines if nothing else is on them."""
    line = content.rfind(b"\n", 0, choice.begin) + 1
    behind = content.find(b"\n", choice.end)
    alone = line and behind >= 0 and not content[line : choice.begin].strip()
    return (line, behind + 1) if alone and not content[choice.end : behind].strip() else (choice.begin, choice.end)
