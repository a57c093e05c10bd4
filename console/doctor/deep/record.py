"""The record: its chain of hashes is computed again and compared with the published heads (I15).

docs/operators/record.md says which bytes are hashed. The chain is read once from its start, in parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from console.doctor.deep.places import CouldNotLookError
from console.doctor.deep.postgres import Conn, Row, is_there, stream
from console.doctor.deep.seen import Seen

UNSEALED_S = 60
"""Seconds for which an entry may wait for its seal."""
CLOCK_S = 60
"""Seconds by which an entry may be older than one before it."""
FIELDS = ("id", "at", "actor", "loop", "what", "key", "operation", "before", "after", "said", "content")
"""Fields of an entry in the order in which they are hashed."""


class Head(NamedTuple):
    place: int
    hash: str
    """In hexadecimal."""
    chain: str
    restored: bool
    """Whether a person said here that an older backup was restored: earlier heads with a higher place are void."""


def size(heads: Path | None) -> int:
    """Return the number of bytes of the file of heads; 0 if there is none. Call it before the snapshot begins."""
    try:
        return heads.stat().st_size if heads is not None else 0
    except FileNotFoundError:
        return 0
    except OSError as exc:
        raise CouldNotLookError(f"the file of heads {heads} cannot be read: {exc.strerror}") from exc


def chain(seen: Seen, conn: Conn, heads: Path | None, upto: int) -> None:
    """Check the chain, the entries and the triggers. Raises CouldNotLookError if the heads cannot be read."""
    if not is_there(conn, "record_entries"):
        return
    removed = _walk(seen, conn, _in_force(heads, _name(conn), upto))
    _waiting(seen, conn)
    _steps(seen, conn, removed)
    _triggers(seen, conn)


def _name(conn: Conn) -> str:
    row = conn.execute("select chain::text as chain from record_sealing").fetchone()
    return "" if row is None else str(row["chain"])


def _walk(seen: Seen, conn: Conn, heads: Iterator[Head]) -> list[int]:
    """Compute each hash again; return the ids of removed entries."""
    removed: list[int] = []
    before: bytes | None = sha256(_name(conn).encode()).digest()
    head, last = next(heads, None), 0
    rows = stream(
        conn,
        """
        select s.seq as place, s.record_id, s.hash, e.id, (extract(epoch from e.at) * 1000000)::bigint as at, e.actor,
            e.loop, e.what, e.key, e.operation, e.before::text, e.after::text, encode(e.said, 'hex') as said,
            encode(e.content, 'hex') as content, e.salt, e.reason, g.key is not null as forgotten
        from record_seals s left join record_entries e on e.id = s.record_id
        left join (select distinct what, key from record_entries where operation = 'forget') g
            on g.what = e.what and g.key = e.key
        order by s.seq
        """,
        {},
    )
    for row in rows:
        place, digest = row["place"], bytes(row["hash"])
        if place != last + 1:
            seen.wrong("I15", f"place {last + 1}", f"the places before {place} are missing in the chain")
            before = None
        if row["id"] is None:
            removed.append(row["record_id"])
            seen.wrong("I15", row["record_id"], f"it was removed: its place {place} in the chain is there")
        elif before is not None and _hash(before, place, row) != digest:
            _blame(seen, row, f"{row['what']} {row['key']}: it is not what was sealed at place {place}")
        elif not _fits(row):
            _blame(seen, row, f"{row['what']} {row['key']}: its reason or its salt was changed")
        while head is not None and head.place <= place:
            if head.place == place and head.hash != digest.hex():
                seen.wrong("I15", f"place {place}", "the chain was written anew: it differs from a published head")
                heads, head = iter(()), None
                break
            head = next(heads, None)
        before, last = digest, place
    if head is not None:
        latest = max(one.place for one in (head, *heads))
        seen.wrong("I15", f"place {latest}", f"the end was cut off: the chain ends at {last}, and this was published")
    return removed


def _hash(before: bytes, place: int, row: Row) -> bytes:
    lines = [str(place), *("" if row[name] is None else str(row[name]) for name in FIELDS)]
    return sha256(before + "\n".join(lines).encode()).digest()


def _fits(row: Row) -> bool:
    """Return whether the reason, which is not in the chain itself, is the one of its digest."""
    if row["salt"] is None:
        return bool(row["forgotten"]) or (row["said"] is None and row["content"] is None)
    if row["reason"] is None:
        return row["said"] is None
    return bool(sha256(bytes(row["salt"]) + row["reason"].encode()).hexdigest() == row["said"])


def _blame(seen: Seen, row: Row, says: str) -> None:
    seen.wrong("I15", row["id"], says, row=f"{row['what']}/{row['key']}")


def _waiting(seen: Seen, conn: Conn) -> None:
    """Note entries without a seal that are too old, and those for which it is too late."""
    first = None
    for row in stream(
        conn,
        """
        select e.id, e.what, e.key, e.id <= s.horizon as settled from record_entries e cross join record_sealing s
        where not exists (select from record_seals x where x.record_id = e.id)
        and (e.id <= s.horizon or e.at < now() - make_interval(secs => %(seconds)s)) order by e.id
        """,
        {"seconds": UNSEALED_S},
    ):
        if row["settled"]:
            _blame(seen, row, f"{row['what']} {row['key']}: it was inserted among entries that had been sealed")
        elif first is None:
            first = row["id"]
            says = f"it and later ones have waited for more than {UNSEALED_S} s to be sealed: start the sync worker"
            seen.wrong("I15", first, says)


def _steps(seen: Seen, conn: Conn, removed: list[int]) -> None:
    """Check that each entry begins where the one before of its row ended, and is not older than those before it."""
    for row in stream(
        conn,
        """
        with steps as (
            select id, what, key, lag(id) over w as previous, operation <> 'insert' or before is not null as goes_on,
                before is distinct from lag(after) over w as breaks,
                at < max(at) over (order by id rows between unbounded preceding and 1 preceding)
                    - make_interval(secs => %(clock)s) as late
            from record_entries window w as (partition by what, key order by id)
        )
        select * from steps where breaks and (goes_on or previous is not null) or late order by id
        """,
        {"clock": CLOCK_S},
    ):
        previous = row["previous"] or 0
        if seen.names_row(f"{row['what']}/{row['key']}") or any(previous < one < row["id"] for one in removed):
            continue
        if row["late"]:
            says = f"{row['what']} {row['key']}: it is back-dated, or the server's clock was set back"
        else:
            says = f"{row['what']} {row['key']}: it does not go on from entry {previous or 'none'} of this row"
        seen.wrong("I15", row["id"], says)


def _triggers(seen: Seen, conn: Conn) -> None:
    """Note triggers of the record that are missing, off, or call another function."""
    for row in conn.execute(
        """
        with wanted as (
            select t.name, 'record_' || e.event as trigger, to_regproc(
                quote_ident('record_' || t.name || '_' || e.event)) as calls, e.always
            from recorded_tables t cross join (values
                ('inserted', true), ('deleted', true), ('edited', false), ('updated', false)) e (event, always)
        )
        select name, trigger from wanted w where (always or calls is not null) and not exists (
            select from pg_trigger g where g.tgrelid = to_regclass(quote_ident(w.name)) and g.tgname = w.trigger
            and g.tgenabled in ('O', 'A') and g.tgfoid = w.calls)
        order by 1, 2
        """
    ):
        seen.wrong("I15", row["name"], f"the trigger {row['trigger']} is missing, off or another one")


def _in_force(heads: Path | None, name: str, upto: int) -> Iterator[Head]:
    """Yield the published heads of this chain, without those that a later restoration has made void."""
    restored = [head.place for head in _lines(heads, name, upto) if head.restored]
    for head in _lines(heads, name, upto):
        if head.restored:
            restored.pop(0)
        if all(head.place <= place for place in restored):
            yield head


def _lines(heads: Path | None, name: str, upto: int) -> Iterator[Head]:
    """Yield the lines of this chain. One that was not written to its end is left out."""
    if heads is None or not upto:
        return
    try:
        with heads.open("rb") as file:
            while file.tell() < upto and (line := file.readline()):
                try:
                    said = json.loads(line)
                    head = Head(int(said["seq"]), str(said["hash"]), str(said["chain"]), "restored_by" in said)
                except (ValueError, KeyError, TypeError):
                    continue
                if head.chain == name:
                    yield head
    except OSError as exc:
        raise CouldNotLookError(f"the file of heads {heads} cannot be read: {exc.strerror}") from exc
