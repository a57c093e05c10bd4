"""Replace an item's address by its picture, which is fetched once and kept in Postgres as small pixels.

They are grey, or in colour for a learner that reads colours. Both may be kept of an address, under names of their own.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from PIL import Image

from labelloop.pictures.fetch import Fetcher
from labelloop.pictures.studio import Studio
from labelloop.process.connecting import Unanswered
from labelloop.process.settings import Settings
from labelloop.reading.paths import value_at
from labelloop.selection.features import GREY, IN_COLOUR, IN_GREY, PNG, Unfetched, picture_of
from labelloop.spec.fetching import Private, first_covering
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import pictures as picture_store
from labelloop.versions.items import ItemToLabel, TrainingItem

SIDE = 128
"""Width and height in pixels of a kept picture: the largest that any learner of pictures reads."""
AT_ONCE = 8
"""Pictures fetched at the same time."""
FAILURES = 3
"""After this many failures in a row the other addresses of the same host are skipped in this call."""
CALL_LIMIT_S = 120.0
"""Seconds of fetching in one call. The next run or rescoring fetches the rest."""
Data = Mapping[str, Any]
Item = TypeVar("Item", bound=TrainingItem | ItemToLabel)
logger = logging.getLogger(__name__)


def with_pictures(
    database: Database,
    settings: Settings | None,
    spec: LoopSpec,
    data: Sequence[Data],
    *,
    limit_s: float = CALL_LIMIT_S,
) -> list[Data]:
    """Return the items with each address that `learner.fetch` allows replaced by its picture as a `data:` URI.

    Without `settings` nothing is fetched, and only pictures that are kept already are used. An address without a
    picture becomes an Unfetched with the reason: the learner leaves that item out, and no other. The `data:` URI says
    how the picture was kept (IN_COLOUR, IN_GREY); the grey of one that is kept both ways is in it too.
    """
    field = spec.field
    if not spec.learner.fetch or field is None:
        return list(data)
    values = [value_at(item, field) for item in data]
    addresses = dict.fromkeys(
        value for value in values if isinstance(value, str) and first_covering(spec.learner.fetch, value)
    )
    colour = spec.learner.reads_colour
    grey, coloured = _known(database, addresses, in_colour_too=spec.learner.is_network)
    missing = [address for address in addresses if address not in (coloured if colour else grey | coloured)]
    got: Mapping[str, bytes | Unfetched] = {}
    if missing:
        got = _fetched(database, settings, spec, missing, limit_s) if settings else _not_yet(missing)
        (coloured if colour else grey).update({a: one for a, one in got.items() if isinstance(one, bytes)})
    found = {address: _uri(coloured.get(address), grey.get(address)) or got[address] for address in addresses}
    replaced = (found.get(value) if isinstance(value, str) else None for value in values)
    return [item if uri is None else {**item, field: uri} for item, uri in zip(data, replaced, strict=True)]


def with_pictures_in(database: Database, settings: Settings | None, spec: LoopSpec, rows: Sequence[Item]) -> list[Item]:
    """Do the same for rows that have the item in `data`."""
    data = with_pictures(database, settings, spec, [row.data for row in rows])
    return [replace(row, data=item) for row, item in zip(rows, data, strict=True)]


def _known(
    database: Database, addresses: Iterable[str], *, in_colour_too: bool
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the kept pictures by address: those in grey, and those in colour, if these are wanted too."""
    kinds = (False, True) if in_colour_too else (False,)
    names = {picture_name(address, colour=colour): (address, colour) for address in addresses for colour in kinds}
    grey, coloured = dict[str, bytes](), dict[str, bytes]()
    if names:
        with database.transaction() as conn:
            found = picture_store.get(conn, list(names))
        for name, png in found.items():
            address, colour = names[name]
            (coloured if colour else grey)[address] = png
    return grey, coloured


def _not_yet(addresses: Sequence[str]) -> dict[str, Unfetched]:
    return {address: Unfetched(address, "was not fetched yet") for address in addresses}


def _fetched(
    database: Database, settings: Settings, spec: LoopSpec, addresses: Sequence[str], limit_s: float
) -> dict[str, bytes | Unfetched]:
    """Return each address's picture in the kept size, in colour if the loop's learner reads colours; or the reason why
    there is none.
    """
    colour = spec.learner.reads_colour
    with Studio(database, settings, spec) as studio:
        fetcher = Fetcher(Private.read(settings.fetch_private), studio)
        ends = time.monotonic() + limit_s
        failures: dict[str, int] = {}

        def one(address: str) -> bytes | Unfetched:
            host = urlsplit(address).netloc
            if failures.get(host, 0) >= FAILURES:
                return Unfetched(address, f"was not fetched: {FAILURES} others of {host or 'Label Studio'} failed")
            if time.monotonic() > ends:
                return Unfetched(address, f"was not fetched within {limit_s:g} s; the next run continues")
            try:
                png = _reduced(fetcher.fetch(address), colour=colour)
            except ValueError as exc:
                failures[host] = failures.get(host, 0) + 1 if isinstance(exc, Unanswered) else 0
                return Unfetched(address, f"cannot be fetched: {exc}")
            failures[host] = 0
            return png

        found: dict[str, bytes | Unfetched] = {}
        try:
            with ThreadPoolExecutor(AT_ONCE) as threads:
                for start in range(0, len(addresses), AT_ONCE * 4):
                    some = addresses[start : start + AT_ONCE * 4]
                    pngs = dict(zip(some, threads.map(one, some), strict=True))
                    kept = {picture_name(a, colour=colour): png for a, png in pngs.items() if isinstance(png, bytes)}
                    if kept:
                        with database.transaction() as conn:
                            picture_store.keep(conn, kept)
                    found |= pngs
        finally:
            fetcher.close()
    refused = [address for address, one in found.items() if isinstance(one, Unfetched)]
    if refused:
        first = found[refused[0]]
        assert isinstance(first, Unfetched)
        logger.warning(
            "loop %s: %d of %d pictures were not fetched, the first: %s %s",
            *(spec.name, len(refused), len(addresses), refused[0][:200], first.why),
        )
    return found


def picture_name(address: str, *, colour: bool) -> bytes:
    """Return the name under which the picture is kept; no address begins with the line that colours have."""
    line = "colour\n" if colour else ""
    return hashlib.sha256(f"{line}{address}".encode(errors="surrogatepass")).digest()


def _reduced(raw: bytes, *, colour: bool) -> bytes:
    """Return the picture in the kept size as PNG, at most 50 kB. Raises ValueError for bytes that are no picture."""
    file = io.BytesIO()
    picture_of(raw, "RGB" if colour else "L").resize((SIDE, SIDE), Image.Resampling.BOX).save(file, "PNG")
    return file.getvalue()


def _uri(coloured: bytes | None, grey: bytes | None) -> str | None:
    if coloured is None:
        return None if grey is None else f"{PNG}{IN_GREY}{_base64(grey)}"
    both = "" if grey is None else f"{GREY}{b64encode(grey).decode()};"
    return f"{PNG}{IN_COLOUR}{both}{_base64(coloured)}"


def _base64(png: bytes) -> str:
    return f"base64,{b64encode(png).decode()}"
