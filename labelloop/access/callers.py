"""Check that a caller knows a secret. Every comparison takes constant time."""

from __future__ import annotations

import hmac

from labelloop.access import credentials


def has_bearer(header: str, token: str) -> bool:
    """Return whether this Authorization header carries the bearer token."""
    return is_same(credentials.bearer(header), token)


def has_basic(header: str, user: str, password: str) -> bool:
    """Return whether this Authorization header carries this user and password of HTTP basic authentication."""
    given_user, given_password = credentials.basic(header)
    same = [hmac.compare_digest(given_user, user.encode()), hmac.compare_digest(given_password, password.encode())]
    return all(same)


def is_same(given: str, secret: str) -> bool:
    """Return whether these bytes are the secret. An empty secret is never the same as anything."""
    return bool(secret) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())
