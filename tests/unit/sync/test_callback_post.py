"""Signatures, addresses and answers of callbacks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from labelloop.errors import SettingsError
from labelloop.process.settings import Settings
from labelloop.spec.fetching import Private
from sync.callbacks import address
from sync.callbacks.post import Post, Tried, read, retry_after_s, signed
from tests.support.network.receiver import receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = UUID("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed")
HERE = Private.read("127.0.0.0/8")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("hours", [0, 2, -7, 5.5])
def test_a_time_with_any_offset_is_signed_as_the_same_moment(hours: float) -> None:
    there = datetime.now(timezone(timedelta(hours=hours)))
    headers = signed(SECRET, ID, '{"a": "ü"}', there)
    assert Webhook(SECRET).verify('{"a": "ü"}', headers) == {"a": "ü"}
    assert headers == signed(SECRET, ID, '{"a": "ü"}', there.astimezone(UTC))


def test_the_package_itself_signs_a_time_with_an_offset_wrongly() -> None:
    """The reason why the time becomes UTC first. Fails when the package is repaired."""
    there = NOON.astimezone(timezone(timedelta(hours=2)))
    assert Webhook(SECRET).sign("x", there, "{}") != Webhook(SECRET).sign("x", NOON, "{}")


def test_a_time_without_an_offset_is_not_signed() -> None:
    with pytest.raises(ValueError, match="a time with an offset"):
        signed(SECRET, ID, "{}", datetime(2026, 1, 1))


def test_another_body_another_id_and_another_secret_are_refused_by_the_receiver() -> None:
    headers = signed(SECRET, ID, "{}", datetime.now(UTC))
    for body, said, secret in [
        ("{ }", headers, SECRET),
        ("{}", {**headers, "webhook-id": str(uuid4())}, SECRET),
        ("{}", headers, "whsec_" + "A" * 32),
    ]:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, said)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is no web address"),
        ("hooks.example/x", "is no web address"),
        ("ftp://hooks.example/", "begins with https://"),
        ("file:///etc/passwd", "is no web address"),
        ("https://", "is no web address"),
        ("https://[::1", "is no web address"),
        ("https://hooks.example:99999/", "is no web address"),
        ("https://8.8.8.8/" + "a" * 2000, "at most 2,000 characters"),
        ("https://8.8.8.8/a b", "no blanks"),
        ("https://ada:secret@8.8.8.8/", "has a user name"),
        ("https://8.8.8.8/#x", "a fragment"),
        ("https://nowhere.invalid/", "names a host that is not known"),
        ("http://8.8.8.8/", "it needs https://"),
        ("https://localhost/", "leads to the private address"),
        ("https://10.1.2.3/", "leads to the private address"),
        ("https://169.254.169.254/latest/meta-data", "leads to the private address"),
        ("https://[::1]/", "leads to the private address"),
        ("https://[fd00::1]/", "leads to the private address"),
        ("https://2130706433/", "leads to the private address"),
    ],
)
def test_an_address_that_is_none_or_leads_inside_is_refused_with_the_reason(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        address.check(url, Private())


def test_a_public_address_needs_https_and_an_allowed_private_one_does_not() -> None:
    assert str(address.check("https://8.8.8.8/x?y=1", Private()).url) == "https://8.8.8.8/x?y=1"
    assert str(address.check("http://127.0.0.1:99/x", HERE).url) == "http://127.0.0.1:99/x"
    with pytest.raises(ValueError, match="it needs https://"):
        address.check("http://8.8.8.8/", Private.read("8.8.8.8"))


def test_a_setting_that_is_no_network_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="LABELLOOP_CALLBACK_PRIVATE is '10/8/3'"):
        address.private(Settings(callback_private="10/8/3"))


def test_the_request_goes_to_the_address_that_was_checked_and_names_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.callbacks.address.resolve", lambda *_: "127.0.0.1")
    with receiver() as there:
        assert try_(f"http://bücher.example:{there.port}/200") == Tried(200, None)
        assert there.arrived[0].headers["host"] == f"xn--bcher-kva.example:{there.port}"
        assert there.arrived[0].headers["user-agent"] == "labelloop"


def test_a_receiver_that_sends_a_byte_now_and_then_is_cut_off_in_time() -> None:
    with receiver() as there:
        assert try_(there.url("/trickle"), limit_s=0.6) == Tried(None, "does not answer within 0.6 s")
        assert try_(there.url("/held"), limit_s=0.3) == Tried(None, "does not answer within 0.3 s")


def test_a_receiver_that_is_not_there_is_a_failed_try() -> None:
    tried = try_("http://127.0.0.1:1/")
    assert (tried.status, tried.error and tried.error[:17]) == (None, "cannot be reached")


def test_each_status_is_read_as_standard_webhooks_says() -> None:
    for status in (200, 201, 202, 204):
        assert read(httpx.Response(status)) == Tried(status, None)
    for status in (400, 401, 404, 500, 503):
        assert read(httpx.Response(status)) == Tried(status, f"answers {status}")
    assert read(httpx.Response(503, headers={"Retry-After": "7"})).retry_after_s == 7
    assert read(httpx.Response(304)).error == "answers 304"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Thu, 01 Jan 2026 12:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("9" * 40, 86_400),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 86_400),
        (f"Thu, 01 Jan {'9' * 20} 00:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 12:01:00 +99999999999999", 0),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("1e9", 0),
        ("٣", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_never_exceeds_a_day(header: str, seconds: float) -> None:
    assert retry_after_s(header, NOON) == seconds


def try_(url: str, limit_s: float = 5.0) -> Tried:
    async def run() -> Tried:
        post = Post(HERE, limit_s=limit_s)
        try:
            return await post(url, SECRET, ID, "{}")
        finally:
            await post.close()

    return asyncio.run(run())
