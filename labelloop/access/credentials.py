"""Credentials in an Authorization header. A header without any gives "" or b""; no bytes in it lead to an error."""

from __future__ import annotations

from base64 import b64decode


def bearer(header: str) -> str:
    """Return the token of `Bearer <token>`; "" for any other header."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def basic(header: str) -> tuple[bytes, bytes]:
    """Return user and password of `Basic <base64>`; both empty for any other header."""
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "basic":
        return b"", b""
    try:
        user, _, password = b64decode(given.strip()).partition(b":")
    except ValueError:
        return b"", b""
    return user, password
