"""Addresses: which fields of a form hold the address of a picture, a sound or a file, and not what people see of it.

By Label Studio's tags and their `valueType`: https://labelstud.io/tags. A learner of texts would learn the letters of
the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PICTURE = "Image"
_ALWAYS = frozenset({PICTURE, "Audio", "AudioPlus", "Video", "Pdf", "PDF", "BitMask"})
_BY_ITSELF = frozenset({"TimeSeries"})
"""Tags whose value is an address where `valueType` is not given; of all others it is the content."""
_OF_ADDRESSES = ("valueList", "audioUrl")
"""Attributes that name a field of addresses beside `value`."""

_ADDRESS = re.compile(r"data:|([a-z][a-z0-9+.-]*:/)?/\S+$")


def looks_like_address(value: object) -> bool:
    """Whether this is the text of an address: two of quite different pictures are nearly the same text."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


def holds_address(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether the `value` of this tag is an address (or a `data:` URI)."""
    kind = next((value for name, value in attributes.items() if name.lower() == "valuetype"), "")
    return tag in _ALWAYS or "url" in kind.lower() or (not kind and tag in _BY_ITSELF)


def address_values(tag: str, attributes: Mapping[str, str]) -> list[str]:
    """The values of a tag's attributes that are addresses, such as `$image`."""
    found = [attributes["value"]] if "value" in attributes and holds_address(tag, attributes) else []
    return found + [value for name, value in attributes.items() if name.lower() in map(str.lower, _OF_ADDRESSES)]
