"""Tokens of pipelines, people and programs. Only their hashes are stored.

The caller owns the transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from labelloop.access.identity import ADMIN, PROMOTE, REVIEW, SCOPES
from labelloop.access.token import AccessToken
from labelloop.errors import UsageError
from labelloop.reading.fields import MAX_WORD
from labelloop.store.database import Conn, columns, rows_of

LONGEST_NAME = 100
OLDEST, NEWEST = "oldest", "newest"

TOKEN = columns(AccessToken)
_IS_VALID = "revoked_at is null and (expires_at is null or expires_at > now())"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a token; None for no limit."""

    loop: str | None = None
    source: str | None = None
    expires_at: datetime | None = None
    requests_per_minute: int | None = None
    max_bytes: int | None = None


NO_LIMITS = Limits()


def add(conn: Conn, name: str, scopes: Sequence[str], limits: Limits = NO_LIMITS) -> str:
    """Store a new token and return it; this is the only time that it can be read.

    It replaces a revoked or expired token of the same name. Raises UsageError if a valid token has the name, or if no
    loop has the name that `limits` gives.
    """
    _check(name, scopes)
    if limits.source is not None and (not limits.source.isprintable() or not 0 < len(limits.source) <= MAX_WORD):
        raise UsageError(f"a source is 1 to {MAX_WORD} printable characters; it is {limits.source[:MAX_WORD]!r}")
    if (limits.loop or limits.source) and (wide := sorted(set(scopes) & {REVIEW, PROMOTE, ADMIN})):
        raise UsageError(
            f"the scope {wide[0]} opens all loops and sources: leave out --loop and --source, or the scope"
        )
    if limits.loop is not None and limits.loop not in (known := _loops(conn)):
        raise UsageError(f"no loop {limits.loop!r}; there are: {', '.join(known) or 'none'}")
    token = secrets.token_urlsafe(32)
    if not _write(conn, name, token, scopes, limits):
        raise UsageError(
            f"there is a token {name!r} already; `labelloop token rotate` renews it, `labelloop token revoke` ends it"
        )
    return token


def rotate(conn: Conn, name: str, overlap: timedelta, end: str | None = None) -> str:
    """Replace the token by a new one and return it. The previous one stays valid for `overlap`.

    Scopes, limits and logins stay. While an earlier overlap lasts, two tokens work. Then the new one ends the token
    that `end` names (OLDEST or NEWEST) at once, or both if `overlap` is 0.

    Raises UsageError if no valid token has the name, and if two work and nothing tells which one ends.
    """
    token = secrets.token_urlsafe(32)
    changed = conn.execute(
        f"""
        update access_tokens set sha256 = %(sha256)s, created_at = now(),
            previous_sha256 = case when previous_until > now() and %(end)s::text = '{NEWEST}'
                then previous_sha256 else sha256 end,
            previous_until = case when %(end)s::text = '{NEWEST}' and %(overlap)s > interval '0'
                then greatest(now() + %(overlap)s, previous_until) else now() + %(overlap)s end
        where name = %(name)s and {_IS_VALID}
        and (previous_until > now() is not true or %(end)s::text is not null or %(overlap)s = interval '0')
        """,
        {"name": name, "sha256": sha256(token), "overlap": overlap, "end": end},
    ).rowcount
    if not changed:
        for row in list_(conn):
            if row.name == name and row.revoked_at is None and row.previous_until is not None:
                raise UsageError(
                    f"two tokens of {name!r} work until {row.previous_until:%Y-%m-%d %H:%M %Z}, a third ends one of "
                    f"them: pass --end {OLDEST}, or --end {NEWEST} if no program uses it; --overlap 0h ends both"
                )
        raise unknown_name(conn, name)
    return token


def ensure(conn: Conn, name: str, token: str, scopes: Sequence[str]) -> None:
    """Store this token under this name, unless it is stored already. A second call changes nothing but new scopes.

    A revoked token stays revoked, and a token that was rotated is not put back. Another valid token of the name is
    revoked first.
    """
    row = conn.execute(
        "select sha256, previous_sha256 is not null as rotated from access_tokens where name = %(name)s",
        {"name": name},
    ).fetchone()
    if row is not None and (row["rotated"] or bytes(row["sha256"]) == sha256(token)):
        conn.execute(
            "update access_tokens set scopes = %(scopes)s where name = %(name)s", {"name": name, "scopes": list(scopes)}
        )
        return
    revoke(conn, name)  # an earlier token of this name, whose settings are lost
    _write(conn, name, token, scopes, NO_LIMITS)


def revoke(conn: Conn, name: str) -> bool:
    """Revoke the token at once, and the one that it replaced. False if no valid token had the name."""
    return (
        conn.execute(
            f"""
            update access_tokens set revoked_at = now() where name = %(name)s and {_IS_VALID}
            """,
            {"name": name},
        ).rowcount
        == 1
    )


def list_(conn: Conn) -> list[AccessToken]:
    """Return all tokens by name, revoked ones too."""
    return rows_of(conn, AccessToken).execute(f"select {TOKEN} from access_tokens order by name").fetchall()


def of_token(conn: Conn, token: str) -> AccessToken | None:
    """Return the stored token that equals `token`, or that replaced it not long ago; None if no valid one does.

    The search is by the hash of 256 random bits, so its duration tells nothing about a token.
    """
    cursor = rows_of(conn, AccessToken)
    return cursor.execute(
        f"""
        select {TOKEN} from access_tokens
        where (sha256 = %(given)s or (previous_sha256 = %(given)s and previous_until > now())) and {_IS_VALID}
        """,
        {"given": sha256(token)},
    ).fetchone()


def hashes(conn: Conn) -> set[bytes]:
    """Return the hashes of all valid tokens, those in an overlap too."""
    rows = conn.execute(
        f"""
        select sha256 as hash from access_tokens where {_IS_VALID}
        union all
        select previous_sha256 from access_tokens where previous_until > now() and {_IS_VALID}
        """
    )
    return {bytes(row["hash"]) for row in rows}


def spend(conn: Conn, token_id: UUID) -> float:
    """Count one request of a token with a limit (a token bucket). Returns 0, or the seconds until the next is allowed.

    It locks the token's row until the commit: call it in a short transaction of its own.
    """
    row = conn.execute(
        """
        with full_now as (
            select id, requests_per_minute as rate, least(requests_per_minute, coalesce(allowance
                + extract(epoch from clock_timestamp() - allowance_at) * requests_per_minute / 60, requests_per_minute)
            ) as there
            from access_tokens where id = %(id)s and requests_per_minute is not null for update
        )
        update access_tokens set allowance = there - (there >= 1)::integer, allowance_at = clock_timestamp()
        from full_now where access_tokens.id = full_now.id
        returning case when there >= 1 then 0 else (1 - there) * 60 / rate end as pause_s
        """,
        {"id": token_id},
    ).fetchone()
    return 0.0 if row is None else float(row["pause_s"])


def of_id(conn: Conn, token_id: UUID) -> AccessToken | None:
    """Return the valid token with this id, which a login stores; None if there is none."""
    cursor = rows_of(conn, AccessToken)
    return cursor.execute(
        f"select {TOKEN} from access_tokens where id = %(id)s and {_IS_VALID}", {"id": token_id}
    ).fetchone()


def of_name(conn: Conn, name: str) -> AccessToken | None:
    """Return the valid token of this name; None if there is none.

    An identity provider tells who a person is; the token of that name tells what the person may do.
    """
    cursor = rows_of(conn, AccessToken)
    return cursor.execute(
        f"select {TOKEN} from access_tokens where name = %(name)s and {_IS_VALID}", {"name": name}
    ).fetchone()


def unknown_name(conn: Conn, name: str) -> UsageError:
    """Return the error for a name without a valid token; it names those that there are."""
    rows = conn.execute(f"select name from access_tokens where {_IS_VALID} order by name")
    return UsageError(f"no valid token {name!r}; there are: {', '.join(row['name'] for row in rows) or 'none'}")


def sha256(token: str) -> bytes:
    """Return the hash of a token, as it is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _write(conn: Conn, name: str, token: str, scopes: Sequence[str], limits: Limits) -> bool:
    """Store the token's hash; False if a valid token has the name.

    The id is new each time, so that no login with the earlier token holds again.
    """
    values = {
        "name": name,
        "sha256": sha256(token),
        "scopes": list(scopes),
        "loop": limits.loop,
        "source": limits.source,
        "expires_at": limits.expires_at,
        "requests_per_minute": limits.requests_per_minute,
        "max_bytes": limits.max_bytes,
    }
    renewed = ", ".join(f"{column} = excluded.{column}" for column in values if column != "name")
    return (
        conn.execute(
            f"""
            insert into access_tokens ({", ".join(values)}) values ({", ".join(f"%({column})s" for column in values)})
            on conflict (name) do update set id = gen_random_uuid(), created_at = now(), revoked_at = null,
                previous_sha256 = null, previous_until = null, allowance = null, allowance_at = null, {renewed}
            where access_tokens.revoked_at is not null or access_tokens.expires_at <= now()
            """,
            values,
        ).rowcount
        == 1
    )


def _loops(conn: Conn) -> list[str]:
    rows = conn.execute("select name from loops where removed_at is null order by name")
    return [row["name"] for row in rows]


def _check(name: str, scopes: Sequence[str]) -> None:
    """Raise UsageError if the name or the scopes cannot be those of a token."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(f"a name is 1 to {LONGEST_NAME} printable characters without blanks around; it is {name!r}")
    if not scopes:
        raise UsageError(f"a token needs a scope; there are: {', '.join(SCOPES)}")
    if unknown := set(scopes) - set(SCOPES):
        raise UsageError(f"no scope {', '.join(sorted(unknown))}; there are: {', '.join(SCOPES)}")
    if PROMOTE in scopes and REVIEW not in scopes:
        raise UsageError("the scope promote needs the scope review too: name both")
