"""Bearer tokens of an identity provider: accepted, and refused."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import OctKey

from labelloop.access.claims import rules
from labelloop.errors import Busy, SettingsError
from labelloop.process import oidc
from labelloop.process.settings import Settings
from tests.support.network.oidc_provider import AUDIENCE, CLIENT, SECRET, Provider, a_provider, new_key


@pytest.fixture
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        yield provider


def ours(provider: Provider, **changes: Any) -> oidc.Provider:
    return oidc.Provider(Settings(**{"oidc_issuer": provider.url, "oidc_audience": AUDIENCE, **changes}))


def test_a_token_of_the_provider_names_its_caller_and_the_scopes(provider: Provider) -> None:
    caller = ours(provider).identity(provider.token(scope="submit read other", preferred_username="cats"))
    assert caller is not None
    assert (caller.name, set(caller.scopes), caller.source) == ("cats", {"submit", "read"}, "cats")
    by_group = ours(provider, oidc_scopes_claim="groups", oidc_scopes="ml=promote; bots=submit,read")
    person = by_group.identity(provider.token(groups=["ml", "sales"], preferred_username=None))
    assert person is not None
    assert (person.name, set(person.scopes), person.source) == ("u1", {"review", "promote"}, None)
    for name in ("a\nb", "a" * 201):
        assert ours(provider).identity(provider.token(preferred_username=name)) is None, (
            "no output can have this source"
        )


def signed_with_public_key(provider: Provider) -> str:
    """Return a token that is signed with the provider's public key as if that were a shared secret."""
    key = provider.keys[0]
    header = b64encode(json.dumps({"alg": "HS256", "kid": key.kid}).encode())
    signed = f"{header}.{provider.token().split('.')[1]}"
    return f"{signed}.{b64encode(hmac.digest(key.as_pem(private=False), signed.encode(), 'sha256'))}"


def b64encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


REFUSED: dict[str, Callable[[Provider], str]] = {
    "wrong audience": lambda p: p.token(aud="another"),
    "no audience": lambda p: p.token(aud=None),
    "wrong issuer": lambda p: p.token(iss="https://evil.example"),
    "expired": lambda p: p.token(exp=int(time.time()) - 3600),
    "never expires": lambda p: p.token(exp=None),
    "not valid yet": lambda p: p.token(nbf=int(time.time()) + 3600),
    "key of another": lambda p: p.token(key=new_key(p.keys[0].kid)),
    "shared secret": lambda p: p.token(key=OctKey.import_key("s" * 64, {"kid": str(p.keys[0].kid)}), alg="HS256"),
    "public key as a shared secret": signed_with_public_key,
    "no signature": lambda p: ".".join(["eyJhbGciOiJub25lIn0", p.token().split(".")[1], ""]),
    "changed claims": lambda p: ".".join(
        [p.token().split(".")[0], p.token(sub="other").split(".")[1], p.token().split(".")[2]]
    ),
    "no name": lambda p: p.token(sub=None),
    "a name with a line end": lambda p: p.token(sub="a\nb"),
    "no token": lambda _: "a.b.c",
    "other text": lambda _: "s3cret",
    "nothing": lambda _: "",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_for_others_is_refused(provider: Provider, case: str) -> None:
    ours_ = ours(provider)
    assert ours_.identity(provider.token()) is not None
    assert ours_.identity(REFUSED[case](provider)) is None


def test_after_a_rotation_the_new_key_counts_at_once_and_the_old_one_ends(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours_ = ours(provider)
    assert ours_.identity(provider.token()) is not None
    monkeypatch.setattr(oidc, "AGAIN_AFTER_S", 0.0)
    old = provider.rotate()
    assert ours_.identity(provider.token()) is not None
    assert ours_.identity(provider.token(key=old)) is None


def test_bad_tokens_do_not_make_us_flood_the_provider(provider: Provider) -> None:
    ours_ = ours(provider)
    stranger = new_key("unknown")
    assert [ours_.identity(provider.token(key=stranger)) for _ in range(20)] == [None] * 20
    assert provider.key_reads == 1


def test_while_the_provider_is_away_known_keys_serve_on(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.is_away = True
    ours_ = ours(provider)
    with pytest.raises(Busy, match="the identity provider does not answer"):
        ours_.identity(provider.token())
    provider.is_away = False
    monkeypatch.setattr(oidc, "KEYS_LAST_S", -1.0)
    assert ours_.identity(provider.token()) is not None
    provider.is_away = True
    assert ours_.identity(provider.token()) is not None


def asking(provider: Provider, after_s: float, **changes: Any) -> oidc.Provider:
    return ours(
        provider,
        **{"oidc_revoked_after_s": after_s, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET, **changes},
    )


def test_a_token_that_the_provider_revokes_is_refused(provider: Provider) -> None:
    at_once, later, never = asking(provider, 0.0), asking(provider, 600.0), ours(provider)
    token, other = provider.token(), provider.token(sub="u2", preferred_username="dogs")
    for ours_ in (at_once, later, never):
        assert ours_.identity(token) is not None
    assert provider.introspections == 2
    provider.revoked.add(token)
    assert [ours_.identity(token) is None for ours_ in (at_once, later, never)] == [True, False, False]
    assert at_once.identity(other) is not None
    assert provider.introspections == 4, "600 s have not passed"
    assert later.identity(provider.token(exp=1)) is None
    assert provider.introspections == 4, "only a valid token is asked about"


def test_without_the_providers_word_no_token_passes(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    ours_ = asking(provider, 0.0)
    assert ours_.identity(provider.token()) is not None
    provider.is_away = True
    with pytest.raises(Busy, match="does not say whether a token is active"):
        ours_.identity(provider.token())
    provider.is_away = False
    with pytest.raises(Busy, match="does not say"):
        asking(provider, 0.0, oidc_client_secret="wrong").identity(provider.token())
    with pytest.raises(SettingsError, match="not set: LABELLOOP_OIDC_CLIENT_SECRET"):
        asking(provider, 0.0, oidc_client_secret="")
    monkeypatch.setattr(oidc, "MOST_ACTIVE", 1)
    for sub in ("a", "b", "c"):
        assert ours_.identity(provider.token(sub=sub)) is not None


def test_an_issuer_without_tls_a_wrong_name_and_an_unknown_scope_are_told(provider: Provider) -> None:
    with pytest.raises(SettingsError, match="must begin with https"):
        oidc.Provider(Settings(oidc_issuer="http://localhost.evil.example"))
    with pytest.raises(SettingsError, match="the provider calls itself"):
        ours(provider, oidc_issuer=provider.url.replace("127.0.0.1", "localhost")).identity(provider.token())
    with pytest.raises(SettingsError, match=r"'ml=look' must be VALUE=SCOPE,SCOPE; scopes: submit, read"):
        rules("sub", "scope", "ml=look")
