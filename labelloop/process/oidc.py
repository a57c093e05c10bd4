"""An identity provider: it verifies bearer tokens (JWT) and logs people in, by OpenID Connect.

Tokens are verified with the provider's public keys (JWKS). The keys are read again every KEYS_LAST_S seconds, and
at once if a token names an unknown key. So the provider may rotate them at any time. If the settings say so, it is
asked by introspection (RFC 7662) whether it has revoked a token.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError as ClientOAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.base import OAuth2Error
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from labelloop.access import claims
from labelloop.access.identity import Identity
from labelloop.errors import Busy, SettingsError
from labelloop.process.settings import Settings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures with a public key. A token that is signed with a shared secret, or not at all, is refused."""
LEEWAY_S = 30
"""Seconds by which the clocks of the provider and of this machine may differ."""
KEYS_LAST_S = 600.0
"""A key that the provider withdraws is refused after this many seconds at the latest."""
AGAIN_AFTER_S = 5.0
"""Seconds before the keys are read again because of an unknown one: bad tokens must not make us flood the provider."""
TIMEOUT_S = 10.0
MOST_ACTIVE = 10_000
"""Tokens of which is remembered whether they are active."""
LOGIN_SCOPE = "openid profile email"


class Provider:
    """The identity provider of the settings. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        settings.require("oidc_issuer")
        issuer = urlsplit(settings.oidc_issuer)
        if issuer.scheme != "https" and issuer.hostname not in ("localhost", "127.0.0.1"):
            raise SettingsError(f"LABELLOOP_OIDC_ISSUER must begin with https://; it is {settings.oidc_issuer!r}")
        if settings.oidc_revoked_after_s < math.inf:
            settings.require("oidc_client_id", "oidc_client_secret")
        self._settings = settings
        self._rules = claims.rules(settings.oidc_name_claim, settings.oidc_scopes_claim, settings.oidc_scopes)
        self._lock = threading.Lock()
        self._about: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._active: dict[bytes, tuple[float, bool]] = {}
        """The time of the provider's last word on a token and whether it is active, by the token's hash."""

    def identity(self, token: str) -> Identity | None:
        """Return the caller that the bearer token names; None if the token is not valid for this service.

        Raises Busy if the provider does not answer, and its keys or its word on this token are needed.
        """
        audience = self._settings.oidc_audience
        found = self._verify(token, audience) if audience and token.count(".") == 2 else None
        return None if found is None or not self._is_active(token) else self._rules.identity(found)

    def is_known(self, token: str) -> bool:
        """Return whether the token is valid by the keys that were read last, without asking the provider."""
        keys, audience = self._keys, self._settings.oidc_audience
        if keys is None or not audience or token.count(".") != 2:
            return False
        try:
            return self._claims(token, audience, keys) is not None
        except InvalidKeyIdError:
            return False

    def start_login(self, redirect_uri: str) -> tuple[str, dict[str, str]]:
        """Return the provider's address to send the browser to, and the secrets to keep in the browser's session."""
        secrets = {"state": generate_token(32), "nonce": generate_token(32), "verifier": generate_token(64)}
        url, _ = self._client(redirect_uri, secrets["state"]).create_authorization_url(
            self._endpoint("authorization_endpoint"), state=secrets["state"], nonce=secrets["nonce"],
            code_verifier=secrets["verifier"],
        )  # fmt: skip
        return url, secrets

    def end_login(self, response_url: str, redirect_uri: str, secrets: Mapping[str, str]) -> Identity | None:
        """Exchange the code in the provider's response for the person's identity; None if the login is not valid."""
        endpoint = self._endpoint("token_endpoint")
        code = _code(response_url, secrets.get("state", ""), self._settings.oidc_issuer)
        if code is None:
            return None
        try:
            answer = self._client(redirect_uri, secrets["state"]).fetch_token(
                endpoint, grant_type="authorization_code", code=code, code_verifier=secrets.get("verifier", "")
            )
            id_token = str(answer.get("id_token", ""))
        except (OAuth2Error, ClientOAuthError):
            return None
        except Exception as exc:  # Authlib uses httpx or httpx2, and fails in many ways on a response that is no token
            raise Busy(f"the identity provider does not answer ({type(exc).__name__}); try again") from exc
        found = self._verify(id_token, self._settings.oidc_client_id)
        if found is None or not secrets.get("nonce") or found.get("nonce") != secrets["nonce"]:
            return None
        return self._rules.identity(found, sent_by_browser=True)

    def _is_active(self, token: str) -> bool:
        """Return whether the token is not revoked, by the provider's word of the last `oidc_revoked_after_s` seconds.

        True if the settings do not have the provider asked.
        """
        lasts_s = self._settings.oidc_revoked_after_s
        if lasts_s == math.inf:
            return True
        sha256 = hashlib.sha256(token.encode()).digest()
        said_at, is_active = self._active.get(sha256, (-math.inf, False))
        now = time.monotonic()
        if now - said_at > lasts_s:
            is_active = self._introspect(token)
            if len(self._active) >= MOST_ACTIVE:
                self._active = {}
            self._active[sha256] = now, is_active
        return is_active

    def _introspect(self, token: str) -> bool:
        try:
            endpoint = self._endpoint("introspection_endpoint")
        except KeyError:
            raise SettingsError(
                "LABELLOOP_OIDC_REVOKED_AFTER_S is set, and the provider has no introspection_endpoint"
            ) from None
        try:
            said = self._client("", "").introspect_token(endpoint, token=token, token_type_hint="access_token")
            return _json(said).get("active") is True
        except Exception as exc:  # as for a login
            words = f"the identity provider does not say whether a token is active ({type(exc).__name__}); try again"
            raise Busy(words) from exc

    def _client(self, redirect_uri: str, state: str) -> OAuth2Client:
        settings = self._settings
        return OAuth2Client(
            settings.oidc_client_id, settings.oidc_client_secret or None, scope=LOGIN_SCOPE, state=state,
            redirect_uri=redirect_uri, code_challenge_method="S256", timeout=TIMEOUT_S,
            token_endpoint_auth_method="client_secret_basic" if settings.oidc_client_secret else "none",
        )  # fmt: skip

    def _verify(self, token: str, audience: str) -> Mapping[str, Any] | None:
        """Return the claims of a token that the provider signed for this audience; None for any other text."""
        try:
            return self._claims(token, audience, self._current_keys())
        except InvalidKeyIdError:
            pass
        try:
            return self._claims(token, audience, self._current_keys(at_most_s=AGAIN_AFTER_S))
        except InvalidKeyIdError:
            return None

    def _claims(self, token: str, audience: str, keys: KeySet) -> Mapping[str, Any] | None:
        """Return the claims of a token that one of these keys signed; raises InvalidKeyIdError for an unknown key."""
        try:
            decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._about["issuer"]},
                aud={"essential": True, "value": audience},
                exp={"essential": True},
            ).validate(decoded.claims)
        except InvalidKeyIdError:
            raise
        except (JoseError, ValueError, TypeError):
            return None
        return decoded.claims

    def _endpoint(self, name: str) -> str:
        self._current_keys()
        return str(self._about[name])

    def _current_keys(self, at_most_s: float = KEYS_LAST_S) -> KeySet:
        """Return the provider's keys, read at most so many seconds ago. If it does not answer, older ones serve on."""
        with self._lock:
            if self._keys is not None and time.monotonic() - self._read_at <= at_most_s:
                return self._keys
            issuer = self._settings.oidc_issuer
            try:
                with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as http:
                    about = _json(http.get(issuer.rstrip("/") + "/.well-known/openid-configuration"))
                    if about.get("issuer") != issuer:
                        raise SettingsError(
                            f"LABELLOOP_OIDC_ISSUER is {issuer!r}; the provider calls itself {about.get('issuer')!r}"
                        )
                    keys = KeySet.import_key_set(_json(http.get(about["jwks_uri"])))  # type: ignore[arg-type]
            except (httpx.HTTPError, ValueError, KeyError, JoseError) as exc:
                if self._keys is None:
                    raise Busy(f"the identity provider does not answer ({type(exc).__name__}); try again") from exc
                return self._keys
            finally:
                self._read_at = time.monotonic()
            self._about, self._keys = about, keys
            return keys


def _code(response_url: str, state: str, issuer: str) -> str | None:
    """Return the code in the provider's response; None if it is a refusal, or not the response to this login.

    Authlib asks for a token by another way, and compares no state, if there is no code in the response.
    """
    said = parse_qs(urlsplit(response_url).query)
    if "error" in said or not state or said.get("state") != [state] or said.get("iss", [issuer]) != [issuer]:
        return None
    codes = said.get("code", [])
    return codes[0] if len(codes) == 1 else None


def _json(response: httpx.Response) -> dict[str, Any]:
    found = response.raise_for_status().json()
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
