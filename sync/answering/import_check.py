"""Check the keys of a file before an import: with one another, and with the outputs that are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from labelloop.outputs.formats.items import Bad
from labelloop.reading import strict_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.pipelines import imported
from sync.answering.importing import Ready, other_data, shown


class Keys:
    """The keys of a file so far. Each takes about 150 bytes of memory."""

    def __init__(self, spec: LoopSpec) -> None:
        self._spec = spec
        self._shown: dict[bytes, bytes] = {}
        """Hash of what people see, by the hash of the key, of items whose key is not stored."""

    def split(self, conn: Conn, items: Sequence[Ready]) -> tuple[list[Ready], list[Bad]]:
        """Return the items that `store` would take, and the faults of those whose key is known with other data."""
        known = imported.data(conn, self._spec.name, list({item.key for item in items}))
        fitting, bad = list[Ready](), list[Bad]()
        for item in items:
            fault = other_data(self._spec, item, known[item.key]) if item.key in known else self._repeated(item)
            if fault is None:
                fitting.append(item)
            else:
                bad.append(fault)
        return fitting, bad

    def _repeated(self, item: Ready) -> Bad | None:
        """Return the fault of an item whose key an earlier item of the file has with other data."""
        key = hashlib.sha256(item.key.encode()).digest()[:16]
        seen = hashlib.sha256(strict_json.dumps(_whole(shown(self._spec, item))).encode()).digest()[:16]
        if self._shown.setdefault(key, seen) == seen:
            return None
        why = f"{item.key!r} stands in the file before, with other data; another item needs another key (--key)"
        return Bad(item.line, item.key, "key", why)


def _whole(value: Any) -> Any:
    """Return the value with 640.0 as 640: both are the same data."""
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
