"""Values of Label Studio and of Postgres in one form, so that equal ones compare equal."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from console.doctor.deep.places import CouldNotLookError

EXACT = 1e16
"""Postgres writes a float of at least this size without a point, so that it is read as a whole number."""


def plain(value: Any) -> Any:
    """Return a value of Label Studio as Postgres keeps it: without NUL, lone surrogates, NaN and infinities."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(name): plain(one) for name, one in value.items()}
    return value


def user(value: Any) -> int | None:
    """Return a user's id, which some answers wrap in an object."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise CouldNotLookError(f"Label Studio gives {value!r} as a time") from None


def signed_output(data: Mapping[str, Any], key: bytes) -> UUID | None:
    """Return the output that a task's data names; None unless the signature is that of `key`."""
    named, signature = data.get("labelloop_output"), data.get("labelloop_sig")
    if not isinstance(named, str) or not isinstance(signature, str):
        return None
    if not hmac.compare_digest(hmac.digest(key, named.encode(), "sha256").hex().encode(), signature.encode()):
        return None
    try:
        return UUID(named)
    except ValueError:
        return None


def version_hashes(row: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the SHA-256 values that a stored version of an annotation may have.

    The name of a deleted user is kept although Label Studio gave none, and Postgres writes large floats as integers.
    """
    if row["deleted"]:
        yield hashlib.sha256(b"deleted").digest()
        return
    names = [row["completed_by"], row["updated_by"]]
    rest = [row["was_cancelled"], row["ground_truth"], row["lead_time_s"]]
    of_ours = [None if row["output_id"] is None else str(row["output_id"]), row["distrusted"]]
    for result in (row["result"], _large_as_floats(row["result"])):
        for people in (names, [None, None]):
            facts = [result, *people, *rest, *of_ours]
            text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
            yield hashlib.sha256(text.encode()).digest()


def _large_as_floats(value: Any) -> Any:
    if isinstance(value, int) and abs(value) >= EXACT:
        return float(value)
    if isinstance(value, list):
        return [_large_as_floats(one) for one in value]
    if isinstance(value, dict):
        return {name: _large_as_floats(one) for name, one in value.items()}
    return value
