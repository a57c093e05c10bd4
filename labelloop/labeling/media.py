"""Media of a form: which fields of an item hold addresses that the annotator's browser loads, and by which tag.

How Label Studio 1.23.2 loads each tag was seen in its editor, in Chromium (docs/operators/media.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from labelloop.labeling.form_xml import OURS, fields_in, read_xml
from labelloop.reading.addresses import address_values
from labelloop.reading.paths import value_at


class Medium(StrEnum):
    """Kind of file that a tag expects behind an address."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    PDF = "pdf"
    TEXT = "text"
    """A text, a page or a dialogue."""
    TABLE = "table"
    """The values of a time series."""

    @property
    def words(self) -> str:
        """The medium with its article, for a sentence."""
        words = {"image": "an image", "audio": "a sound", "video": "a video", "pdf": "a PDF", "table": "a table"}
        return words.get(self, "a text")

    @property
    def needs_cors(self) -> bool:
        """Whether the server must allow Label Studio's page to read it. A PDF is shown in a frame of its own."""
        return self is not Medium.PDF


_BY_TAG = {
    "image": Medium.IMAGE,
    "bitmask": Medium.IMAGE,
    "audio": Medium.AUDIO,
    "audioplus": Medium.AUDIO,
    "video": Medium.VIDEO,
    "pdf": Medium.PDF,
    "timeseries": Medium.TABLE,
    "text": Medium.TEXT,
    "hypertext": Medium.TEXT,
    "paragraphs": Medium.TEXT,
}
"""Tags that load an address, in small letters. Table has a `valueType` too, but its editor loads nothing."""


@dataclass(frozen=True, slots=True)
class MediaField:
    """A field of the data that holds one address or a list of addresses."""

    field: str
    tag: str
    medium: Medium


@lru_cache(maxsize=64)
def media_fields(xml: str) -> tuple[MediaField, ...]:
    """Return the fields of a form that hold addresses, in the order of the page. Raises SpecError for invalid XML.

    A value that is only partly a field, such as `https://cdn.example/$id.png`, is left out.
    """
    found: dict[tuple[str, Medium], MediaField] = {}
    for element in read_xml(xml)[0].iter():
        by_tag = _BY_TAG.get(element.tag.lower())
        sound = next((value for name, value in element.attrib.items() if name.lower() == "audiourl"), None)
        for value in address_values(element.tag, element.attrib) if by_tag else ():
            medium = Medium.AUDIO if value == sound else by_tag
            for field in fields_in(value, named="name" in element.attrib) if value.startswith("$") else ():
                if medium is not None and not field.startswith(OURS):
                    found.setdefault((field, medium), MediaField(field, element.tag, medium))
    return tuple(found.values())


def addresses_in(data: Mapping[str, object], fields: Sequence[MediaField]) -> list[tuple[MediaField, str]]:
    """Return the addresses that an item holds in these fields, each once; other values are left out."""
    found: dict[tuple[MediaField, str], None] = {}
    for field in fields:
        value = value_at(data, field.field)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one.strip():
                found[field, one.strip()] = None
    return list(found)
