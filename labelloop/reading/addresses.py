"""Addresses: fields of a form that hold the address of a picture, a sound or a file, not the content that people see.

They are known by Label Studio's tags and their `valueType`: https://labelstud.io/tags. A learner of texts would learn
the letters of the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PICTURE = "Image"
_ADDRESS_TAGS = frozenset({PICTURE, "Audio", "AudioPlus", "Video", "Pdf", "PDF", "BitMask"})
_ADDRESS_WITHOUT_TYPE = frozenset({"TimeSeries"})
"""Tags whose value is an address if `valueType` is not given. The value of any other tag is the content."""
_ADDRESS_ATTRIBUTES = ("valueList", "audioUrl")
"""Attributes besides `value` that name a field of addresses."""

_ADDRESS = re.compile(r"data:|([a-z][a-z0-9+.-]*:/)?/\S+$")


def looks_like_address(value: object) -> bool:
    """Whether this is the text of an address. Addresses of quite different pictures are nearly the same text."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


def holds_address(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether the `value` of this tag is an address or a `data:` URI."""
    kind = next((value for name, value in attributes.items() if name.lower() == "valuetype"), "")
    return tag in _ADDRESS_TAGS or "url" in kind.lower() or (not kind and tag in _ADDRESS_WITHOUT_TYPE)


def address_values(tag: str, attributes: Mapping[str, str]) -> list[str]:
    """Return the values of a tag's attributes that are addresses, such as `$image`."""
    found = [attributes["value"]] if "value" in attributes and holds_address(tag, attributes) else []
    return found + [value for name, value in attributes.items() if name.lower() in map(str.lower, _ADDRESS_ATTRIBUTES)]
