"""Keys of outputs in the types that programs have: texts, integers and UUIDs."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex, TypeAlias
from uuid import UUID

Key: TypeAlias = str | SupportsIndex | UUID
"""A text, an integer (also of numpy) or a UUID."""


def key_text(key: Any) -> Any:
    """Return an integer or a UUID as its text, and any other value, such as a boolean, as it is."""
    if isinstance(key, str):
        return key
    if isinstance(key, UUID):
        return str(key)
    if isinstance(key, bool) or getattr(getattr(key, "dtype", None), "kind", "") == "b":
        return key
    try:
        return str(operator.index(key))
    except TypeError:
        return key
