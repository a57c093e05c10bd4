"""Callers that know a secret, and callers that do not."""

from __future__ import annotations

from base64 import b64encode

import pytest

from labelloop.access.callers import has_basic, has_bearer, is_same


@pytest.mark.parametrize(
    ("header", "is_known"),
    [("Bearer s3cret", True), ("bearer s3cret ", True), ("Bearer other", False), ("Basic s3cret", False), ("", False)],
)
def test_a_bearer_token_is_known_by_its_header(header: str, is_known: bool) -> None:
    assert has_bearer(header, "s3cret") is is_known


@pytest.mark.parametrize(("given", "is_known"), [(b"me:pw", True), (b"me:other", False), (b"you:pw", False)])
def test_basic_needs_the_user_and_the_password(given: bytes, is_known: bool) -> None:
    assert has_basic(f"Basic {b64encode(given).decode()}", "me", "pw") is is_known


def test_an_empty_secret_lets_nobody_in_and_odd_bytes_are_no_error() -> None:
    assert not is_same("", "")
    assert not has_bearer("Bearer ", "")
    assert not is_same("\udcff", "s3cret")
