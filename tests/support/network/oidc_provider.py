"""An identity provider on this machine, with keys that rotate and PKCE that is checked."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask, redirect, request
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

AUDIENCE, CLIENT, SECRET = "labelloop", "review-pages", "clients-secret"


@dataclass
class Provider:
    """The provider's state; the person at the browser is always `person`."""

    url: str = ""
    keys: list[RSAKey] = field(default_factory=lambda: [new_key()])
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "u1", "preferred_username": "mira"})
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key_reads: int = 0
    token_requests: int = 0
    revoked: set[str] = field(default_factory=set)
    introspections: int = 0
    is_away: bool = False
    token_answer: Any = None
    """A response of the token endpoint that is no token; None if it answers as it should."""

    def rotate(self) -> RSAKey:
        """Sign with a new key from now on, and withdraw the previous one. Returns the previous one."""
        [previous] = self.keys
        self.keys = [new_key()]
        return previous

    def token(self, key: Any = None, alg: str = "RS256", **claims: Any) -> str:
        """Return a token of a program; a claim of None is left out."""
        key = key or self.keys[0]
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "u1", "exp": now + 300, "iat": now, "scope": "read", **claims}
        header = {"alg": alg, "kid": key.kid}
        return jwt.encode(header, {k: v for k, v in said.items() if v is not None}, key, algorithms=[alg])

    def app(self) -> Flask:
        app = Flask(__name__)

        @app.before_request
        def _away() -> Any:
            return ("away", 503) if self.is_away else None

        @app.get("/.well-known/openid-configuration")
        def about() -> dict[str, str]:
            return {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "introspection_endpoint": f"{self.url}/introspect",
            }

        @app.get("/keys")
        def keys() -> Any:
            self.key_reads += 1
            return KeySet([*self.keys]).as_dict(private=False)

        @app.post("/introspect")
        def introspect() -> Any:
            self.introspections += 1
            known = request.authorization
            if known is None or (known.username, known.password) != (CLIENT, SECRET):
                return {"error": "invalid_client"}, 401
            return {"active": request.form["token"] not in self.revoked}

        @app.get("/authorize")
        def authorize() -> Response:
            asked = request.args.to_dict()
            assert asked["code_challenge_method"] == "S256"
            code = secrets.token_urlsafe()
            self.codes[code] = asked
            return redirect(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

        @app.post("/token")
        def token() -> Any:
            self.token_requests += 1
            if self.token_answer is not None:
                return self.token_answer
            asked = self.codes.pop(request.form["code"], None)
            verifier = hashlib.sha256(request.form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
            if asked is None or challenge != asked["code_challenge"]:
                return {"error": "invalid_grant"}, 400
            id_token = self.token(aud=asked["client_id"], nonce=asked["nonce"], **self.person)
            return {"access_token": "opaque", "token_type": "Bearer", "id_token": id_token}

        return app


@contextmanager
def a_provider() -> Iterator[Provider]:
    """Serve a provider on a free port."""
    provider = Provider()
    server = make_server("127.0.0.1", 0, provider.app(), threaded=True)
    provider.url = f"http://127.0.0.1:{server.port}"
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield provider
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def new_key(kid: str | None = None) -> RSAKey:
    """Return a new key pair with this id, or with an id of its own."""
    return RSAKey.generate_key(2048, {"kid": kid or secrets.token_hex(4)})
