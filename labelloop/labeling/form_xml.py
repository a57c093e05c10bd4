"""The XML of a labeling config: its tags with their places, and its comparison with Label Studio's copy.

Label Studio's server and its editor read `value="$my-text"` differently. The server reads the field `my-text`; the
editor shows the field `my` followed by "-text". A field with such a name is therefore shown under a substitute name
that both read alike. `sent` puts it into the form, `shown_data` into the data of each task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import unescape
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from labelloop.errors import SpecError

MAX_BYTES = 1 << 20
MAX_DEPTH = 100
OURS = "labelloop_"
"""Prefix of our own fields in a task's data."""
_SHOWS = OURS + "shows_"
"""Prefix of the substitute name of a field whose own name the editor cannot read."""
_NO_ELEMENT = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]
_MISMATCH = expat.errors.codes[expat.errors.XML_ERROR_TAG_MISMATCH]
_DECLARATION = re.compile(r"\A\ufeff?(\s*)(<\?xml\b[^>]*\?>)?")
_IN_EDITOR = re.compile(r"\$([\w.\[\]]+)", re.ASCII)
"""Fields in a value, as Label Studio's editor finds them."""
_ONE_WORD = re.compile(r"\$[\w.\[\]-]+")
_VALUE = re.compile(r"""(\bvalue(?:List)?\s*=\s*(["']))\$(.*?)\2""", re.IGNORECASE | re.DOTALL)

Places = Mapping[Element, tuple[int, int]]
"""Line and column of each tag, from 1."""


def read_xml(xml: str) -> tuple[Element, Places]:
    """Return the tree, and the place of each tag. Raises SpecError for invalid XML.

    Entity declarations are refused: a few of them can fill any memory.
    """
    if len(xml.encode(errors="replace")) > MAX_BYTES:
        raise SpecError(f"labels.xml: more than {MAX_BYTES} bytes")
    builder, places = TreeBuilder(), {}
    parser = expat.ParserCreate("utf-8")
    open_: list[Element] = []

    def start(tag: str, attributes: Mapping[str, str]) -> None:
        at = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        if len(open_) == MAX_DEPTH:
            raise SpecError(f"labels.xml: tags are nested more than {MAX_DEPTH} deep", line=at[0], column=at[1])
        open_.append(builder.start(tag, dict(attributes)))
        places[open_[-1]] = at

    def end(tag: str) -> None:
        open_.pop()
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise SpecError(
            "labels.xml: a DOCTYPE and entities are not read",
            line=parser.CurrentLineNumber,
            column=parser.CurrentColumnNumber + 1,
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(plain(xml).encode(), True)
    except UnicodeEncodeError as exc:
        raise SpecError(f"labels.xml: {exc}", line=1, column=1) from None
    except expat.ExpatError as exc:
        raise _invalid(exc, open_, places) from None
    return builder.close(), places


def _invalid(exc: expat.ExpatError, open_: Sequence[Element], places: Places) -> SpecError:
    """Return the error of invalid XML; `open_` are the tags around its place."""
    at, why = (exc.lineno, exc.offset + 1), expat.ErrorString(exc.code)
    if exc.code == _NO_ELEMENT and open_:
        at, why = places[open_[-1]], f"the tag <{open_[-1].tag}> is not closed"
    elif exc.code == _NO_ELEMENT:
        why = "the file is empty: it needs a form, such as <View>...</View>"
    elif exc.code == _MISMATCH:
        why = f"the tag <{open_[-1].tag}> of line {places[open_[-1]][0]} is closed by another one"
    return SpecError(f"labels.xml: {why}", line=at[0], column=at[1])


def plain(xml: str) -> str:
    """Return the form without byte order mark and XML declaration: Label Studio fails if the latter names an encoding.

    Blanks replace the declaration, so lines and columns stay as they are in the file.
    """
    return _DECLARATION.sub(lambda m: m[1] + re.sub(r"[^\n]", " ", m[2] or ""), xml, count=1)


def fields_of(element: Element) -> list[str]:
    """Return the fields of the data that a tag shows, by the names that pipelines give them.

    As in Label Studio, everything after a leading $ is one field if the tag has a name. In other tags, fields may be
    inside other text.
    """
    return fields_in(element.get("value") or element.get("valueList") or "", named=bool(element.get("name")))


def fields_in(value: str, *, named: bool) -> list[str]:
    """Return the fields that one attribute of a tag shows; `named` tells whether the tag has a name."""
    if not value.startswith("$") or not (named or _ONE_WORD.fullmatch(value)):
        return _IN_EDITOR.findall(value)
    return [_given(value[1:])] if len(value) > 1 else []


def editor_reads(field: str) -> bool:
    """Whether Label Studio's editor reads `$field` as this one field."""
    return _IN_EDITOR.fullmatch(f"${field}") is not None


def renamed(field: str) -> bool:
    """Whether a field is shown under a substitute name. A path is not: both sides read its dots and brackets."""
    return not editor_reads(field) and not set(field) & set("$.[]{}")


def shown_data(fields: Iterable[str], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a task, with a copy under the substitute name of each field whose name the
    editor cannot read.
    """
    return {**data, **{_ours(field): data[field] for field in fields if renamed(field) and field in data}}


def shown_name(field: str) -> str:
    """Return the name under which a task's data has the field that the form shows."""
    return _ours(field) if renamed(field) else field


@lru_cache(maxsize=64)
def sent(xml: str) -> str:
    """Return the form as it is sent to Label Studio, which strips the white space at both ends."""
    root, _ = read_xml(xml)
    unread = {field for tag in root.iter() for field in fields_of(tag) if renamed(field)}

    def shown(found: re.Match[str]) -> str:
        field = _given(unescape(found[3]))
        return f"{found[1]}${_ours(field)}{found[2]}" if field in unread else found[0]

    return (_VALUE.sub(shown, plain(xml)) if unread else plain(xml)).strip()


def same_form(ours: str, theirs: str) -> bool:
    """Whether Label Studio's form is still the form that it was sent. No other code compares forms."""
    return sent(ours) == theirs.strip()


def _ours(field: str) -> str:
    """Return the substitute name: `my-text` gives labelloop_shows_my_2d_text. Letters and digits stay, other characters
    become their number.
    """
    return _SHOWS + re.sub(r"[^A-Za-z0-9]", lambda m: f"_{ord(m[0]):x}_", field)


def _given(field: str) -> str:
    """Return the name that _ours was given; any other name as it is, even if it has the same prefix."""
    if not field.startswith(_SHOWS):
        return field
    given = re.sub(r"_([0-9a-f]{1,5}|10[0-9a-f]{4})_", lambda m: chr(int(m[1], 16)), field.removeprefix(_SHOWS))
    given = given.encode(errors="ignore").decode()
    return given if _ours(given) == field else field
