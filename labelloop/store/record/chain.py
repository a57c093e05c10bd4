"""The check of the chain: every hash is computed again, and compared with the seals and with the published heads.

It shares no code with the sealer, which is a function in Postgres. It reads the chain once from its start, in parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from psycopg.rows import tuple_row

from labelloop.store.database import Conn
from labelloop.store.record.findings import Finding, Kind

Heads = Iterable[tuple[int, bytes, str]]
"""Published heads in the order of their places in the chain: place, hash, time."""
AT_ONCE = 10_000
MOST_PAIRS = 100
"""Changed entries that are compared with each other, to find swapped ones."""

_CHAIN = """
    select s.seq, s.record_id, s.hash, e.id::text, (extract(epoch from e.at) * 1000000)::bigint::text, e.actor::text,
        coalesce(e.loop, ''), e.what, e.key, e.operation, coalesce(e.before::text, ''), coalesce(e.after::text, ''),
        coalesce(encode(e.said, 'hex'), ''), coalesce(encode(e.content, 'hex'), ''), e.salt, e.reason
    from record_seals s left join record_entries e on e.id = s.record_id order by s.seq
"""
Fields = tuple[str, ...]
"""The chained fields of an entry as text; the first is its id."""


@dataclass(slots=True)
class Walk:
    """The result of one walk along the chain."""

    sealed: int = 0
    """The last place, which is the number of places."""
    findings: list[Finding] = field(default_factory=list)
    changed: list[tuple[int, bytes, bytes, Fields]] = field(default_factory=list)
    """Place, hash before, hash and fields of each entry whose hash is another."""


def walk(conn: Conn, chain: UUID, heads: Heads, forgotten: frozenset[tuple[str, str]]) -> Walk:
    """Check the chain from its start. `forgotten` names the rows, by table and key, whose salts were deleted."""
    found = Walk()
    published = iter(heads)
    head = next(published, None)
    before: bytes | None = sha256(str(chain).encode()).digest()
    good = 0
    for seq, record_id, digest, salt, reason, fields in _rows(conn):
        if seq != found.sealed + 1:
            found.findings.append(_gap(found.sealed + 1, seq - 1))
            before = None
        if fields is None:
            text = f"entry {record_id} was removed: its place {seq} in the chain is there, and the entry is not"
            found.findings.append(Finding(Kind.REMOVED, text, record_id))
        elif before is not None and _hash(before, seq, fields) != digest:
            found.changed.append((seq, before, digest, fields))
        elif (problem := _said(fields, salt, reason, forgotten)) is not None:
            found.findings.append(Finding(Kind.CHANGED, problem, record_id, fields[4], fields[5]))
        while head is not None and head[0] <= seq:
            if head[0] == seq and head[1] != digest:
                found.findings.append(_anew(good, head))
                head, published = None, iter(())
                break
            good, head = head[0], next(published, None)
        found.sealed, before = seq, digest
    rest = [head, *published] if head is not None else []
    if rest:
        found.findings.append(_cut(found.sealed, max(rest)))
    found.findings += _changes(found.changed)
    return found


def _rows(conn: Conn) -> Iterator[tuple[int, int, bytes, bytes | None, str | None, Fields | None]]:
    with conn.cursor("chain", row_factory=tuple_row) as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(_CHAIN)
        for row in cursor:
            yield row[0], row[1], row[2], row[14], row[15], None if row[3] is None else row[3:14]


def _hash(before: bytes, seq: int, fields: Fields) -> bytes:
    return sha256(before + "\n".join((str(seq), *fields)).encode()).digest()


def _said(fields: Fields, salt: bytes | None, reason: str | None, forgotten: frozenset[tuple[str, str]]) -> str | None:
    """Return what is wrong with the parts of an entry that are not in the chain themselves; None if nothing is."""
    said, content = fields[9], fields[10]
    if salt is None:
        if (said or content) and (fields[4], fields[5]) not in forgotten:
            return f"the salt of entry {fields[0]} was deleted, and no entry says that its row was forgotten"
        return None
    if sha256(salt + reason.encode()).hexdigest() == said if reason is not None else not said:
        return None
    return f"the reason or the salt of entry {fields[0]} ({fields[4]} {fields[5]}) was changed"


def _gap(first: int, last: int) -> Finding:
    if last < first:
        return Finding(Kind.INSERTED, f"place {last + 1} of the chain is there twice")
    places = f"place {first} was" if first == last else f"places {first} to {last} were"
    return Finding(Kind.REMOVED, f"{places} removed from the chain")


def _anew(good: int, head: tuple[int, bytes, str]) -> Finding:
    text = (
        f"the chain was written anew between place {good + 1} and place {head[0]}: it differs from the head that was "
        f"published at {head[2]}"
    )
    return Finding(Kind.CUT, text)


def _cut(last: int, head: tuple[int, bytes, str]) -> Finding:
    text = (
        f"the end of the record was cut off: it ends at place {last}, and a head with place {head[0]} was published at "
        f"{head[2]}. If an older backup was restored, `labelloop audit restored` puts that into the file of heads"
    )
    return Finding(Kind.CUT, text)


def _changes(changed: list[tuple[int, bytes, bytes, Fields]]) -> list[Finding]:
    """Name the changed entries. Two entries that fit when they change places were swapped."""
    findings, swapped = list[Finding](), set[int]()
    for i, (seq, before, digest, fields) in enumerate(changed[:MOST_PAIRS]):
        for other_seq, other_before, other_digest, other in changed[i + 1 : MOST_PAIRS]:
            for mine, theirs in ((other, fields), ((fields[0], *other[1:]), (other[0], *fields[1:]))):
                if _hash(before, seq, mine) == digest and _hash(other_before, other_seq, theirs) == other_digest:
                    swapped |= {seq, other_seq}
                    text = f"entries {fields[0]} and {other[0]} were swapped, at places {seq} and {other_seq}"
                    findings.append(Finding(Kind.SWAPPED, text, int(fields[0])))
                    break
    for seq, _, _, fields in changed:
        if seq not in swapped:
            text = f"entry {fields[0]} ({fields[4]} {fields[5]}, {fields[6]}) is not what was sealed at place {seq}"
            findings.append(Finding(Kind.CHANGED, text, int(fields[0]), fields[4], fields[5]))
    return findings
