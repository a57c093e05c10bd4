"""Tokens of the review pages, which say who may look and who may decide. Only their hashes are stored.

The caller owns the transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from uuid import UUID

from labelloop.access.identity import REVIEW, SCOPES
from labelloop.access.token import AccessToken
from labelloop.errors import UsageError
from labelloop.store.database import Conn, columns, rows_of

LONGEST_NAME = 100

TOKEN = columns(AccessToken)


def add(conn: Conn, name: str, scopes: Sequence[str]) -> str:
    """Store a new token and return it; this is the only time that it can be read.

    It replaces a revoked token of the same name. Raises UsageError if a valid token has the name.
    """
    _check(name, scopes)
    token = secrets.token_urlsafe(32)
    if not _write(conn, name, token, scopes):
        raise UsageError(f"there is a token {name!r} already; `labelloop token revoke` ends it")
    return token


def ensure(conn: Conn, name: str, token: str, scopes: Sequence[str]) -> None:
    """Store this token under this name, unless it is stored already. A second call changes nothing.

    A revoked token stays revoked. Another valid token of the name is revoked first.
    """
    row = conn.execute("select sha256 from access_tokens where name = %(name)s", {"name": name}).fetchone()
    if row is None or bytes(row["sha256"]) != sha256(token):
        revoke(conn, name)  # an earlier token of this name, whose settings are lost
        _write(conn, name, token, scopes)


def revoke(conn: Conn, name: str) -> bool:
    """Revoke the token; logins with it end at once. False if no valid token had the name."""
    return (
        conn.execute(
            "update access_tokens set revoked_at = now() where name = %(name)s and revoked_at is null", {"name": name}
        ).rowcount
        == 1
    )


def list_(conn: Conn) -> list[AccessToken]:
    """Return all tokens by name, revoked ones too."""
    return rows_of(conn, AccessToken).execute(f"select {TOKEN} from access_tokens order by name").fetchall()


def of_token(conn: Conn, token: str) -> AccessToken | None:
    """Return the stored token that equals `token`; None if no valid one does. Each is compared in constant time."""
    given, found = sha256(token), None
    for row in conn.execute("select id, sha256 from access_tokens where revoked_at is null"):
        if hmac.compare_digest(bytes(row["sha256"]), given):
            found = row["id"]
    return None if found is None else of_id(conn, found)


def of_id(conn: Conn, token_id: UUID) -> AccessToken | None:
    """Return the valid token with this id, which a login stores; None if there is none."""
    cursor = rows_of(conn, AccessToken)
    return cursor.execute(
        f"select {TOKEN} from access_tokens where id = %(id)s and revoked_at is null", {"id": token_id}
    ).fetchone()


def of_name(conn: Conn, name: str) -> AccessToken | None:
    """Return the valid token of this name; None if there is none.

    An identity provider tells who a person is; the token of that name tells what the person may do.
    """
    cursor = rows_of(conn, AccessToken)
    return cursor.execute(
        f"select {TOKEN} from access_tokens where name = %(name)s and revoked_at is null", {"name": name}
    ).fetchone()


def sha256(token: str) -> bytes:
    """Return the hash of a token, as it is stored."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _write(conn: Conn, name: str, token: str, scopes: Sequence[str]) -> bool:
    """Store the token's hash; False if a valid token has the name.

    The id is new each time, so that no login with the earlier token holds again.
    """
    return (
        conn.execute(
            """
            insert into access_tokens (name, sha256, scopes) values (%(name)s, %(sha256)s, %(scopes)s)
            on conflict (name) do update set id = gen_random_uuid(), sha256 = excluded.sha256,
                scopes = excluded.scopes, created_at = now(), revoked_at = null
            where access_tokens.revoked_at is not null
            """,
            {"name": name, "sha256": sha256(token), "scopes": list(scopes)},
        ).rowcount
        == 1
    )


def _check(name: str, scopes: Sequence[str]) -> None:
    """Raise UsageError if the name or the scopes cannot be those of a token."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(f"a name is 1 to {LONGEST_NAME} printable characters without blanks around; it is {name!r}")
    if unknown := set(scopes) - set(SCOPES):
        raise UsageError(f"no scope {', '.join(sorted(unknown))}; there are: {', '.join(SCOPES)}")
    if REVIEW not in scopes:
        raise UsageError("the scope promote needs the scope review too: name both")
