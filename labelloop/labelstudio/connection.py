"""The one way to Label Studio: through the SDK's own client, with every foreign error translated in one place."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import getproxies

import httpx

from labelloop.errors import Ambiguous, Refused, SettingsError, Unreachable
from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Unexpected
from labelloop.reading.ids import ProjectId, TaskId

READ: dict[str, Any] = {"timeout_in_seconds": httpx.Timeout(30, connect=3)}
"""Options of a GET; the SDK may repeat it."""
WRITE: dict[str, Any] = {"timeout_in_seconds": httpx.Timeout(130, connect=3), "max_retries": 0}
"""Options of any other request. An import may take long: uWSGI in front of Label Studio gives up after 120 s."""
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPALIVE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3}
"""Seconds and a number. The first two are the names of one option on Linux and on macOS."""
SILENT_NETWORK = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), n) for name, n in _KEEPALIVE.items() if hasattr(socket, name)),
]
"""Options of each socket: if packets vanish while a request waits for its reply, it ends after 14 s.

TCP_USER_TIMEOUT would also end an import whose body a busy Label Studio does not read yet.
"""
NOT_DEFINITE = frozenset({408, 409, 425, 429})
"""Refusals after which the request may still have taken effect."""


class Connection:
    """One Label Studio, with the rights of the owner of `token` (personal or legacy)."""

    def __init__(self, url: str, token: str) -> None:
        # The base class has no exports, which load pandas and more: half a second and 100 MB.
        from label_studio_sdk.base_client import LabelStudioBase
        from label_studio_sdk.core.api_error import ApiError

        self.url = url.rstrip("/")
        self.faulty: dict[ProjectId, set[TaskId]] = {}
        """Tasks at which Label Studio failed, by project: a memory of the calls, see faults.py."""
        self._api_error: type[Exception] = ApiError
        # With a proxy of the environment, which httpx only finds without a transport, the timeouts alone hold.
        behind_proxy = not getproxies().keys().isdisjoint({"http", "https", "all"})
        transport = None if behind_proxy else httpx.HTTPTransport(socket_options=SILENT_NETWORK)
        self._http = httpx.Client(timeout=30, follow_redirects=False, transport=transport)
        sdk: Any = LabelStudioBase
        try:
            self.sdk: Any = sdk(base_url=self.url, api_key=token, httpx_client=self._http)
        except ApiError as exc:
            raise SettingsError(f"LABELLOOP_LABEL_STUDIO_TOKEN cannot be used: {words(exc.body)}") from exc

    def close(self) -> None:
        self._http.close()

    def authorization(self) -> str:
        """Return the header Authorization. The SDK trades a personal token for one that is valid for a few minutes."""
        return str(self.sdk._client_wrapper.get_headers()["Authorization"])

    def request(
        self, method: str, path: str, params: dict[str, Any] | None = None, *, body: Any = None, once: bool = False
    ) -> Any:
        """Send a request through the SDK's client, which keeps the token fresh.

        Only a GET may be repeated, and none that is to be sent `once`.
        """
        options = READ | ({"max_retries": 0} if once else {}) if method == "GET" else WRITE
        response = self._send(method, path, params, body, options)
        if not 200 <= response.status_code < 300:
            raise self._api_error(status_code=response.status_code, body=response.text)  # type: ignore[call-arg]
        return _json(response)

    def attempt(self, method: str, path: str, params: dict[str, Any] | None = None, *, body: Any) -> tuple[int, Any]:
        """Return status and body, also of a refusal, without any retry. For requests that are meant to be refused."""
        response = self._send(method, path, params, body, WRITE)
        return response.status_code, _json(response) if response.content else None

    def _send(self, method: str, path: str, params: Any, body: Any, options: dict[str, Any]) -> httpx.Response:
        sent: httpx.Response = self.sdk._client_wrapper.httpx_client.request(
            path,
            method=method,
            params=params,
            # Written here, because the SDK first walks through a body value by value: 0.2 s for 1,000 tasks.
            content=None if body is None else httpx.Request("POST", self.url, json=body).content,
            headers={"content-type": "application/json"},
            request_options=options,
        )
        return sent

    @contextmanager
    def clear(self, what: str, *, write: bool = False) -> Iterator[None]:
        """Translate foreign errors. A write surely had no effect after a definite refusal, or without a connection."""
        lost = Ambiguous if write else Unreachable
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise Unreachable(f"Label Studio at {self.url} does not answer: {exc}") from exc
        except self._api_error as exc:
            status, said = getattr(exc, "status_code", None) or 500, words(getattr(exc, "body", ""))
            if 400 <= status < 500 and status not in NOT_DEFINITE:
                raise Refused(f"Label Studio refuses {what} ({status}): {said}", status=status) from exc
            raise lost(f"Label Studio answered {status} to {what}: {said}") from exc
        except httpx.HTTPError as exc:
            raise lost(f"Label Studio's answer to {what} is lost: {type(exc).__name__} {exc}") from exc
        except (Unexpected, ValueError, TypeError, AttributeError) as exc:  # pydantic's errors are ValueErrors
            raise lost(f"Label Studio's answer to {what} cannot be read: {exc}") from exc


class Calls:
    """Calls of one kind, over one connection; Gateway joins all kinds."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        self._connection = connection
        self._ls = connection.sdk
        self._request = connection.request
        self._clear = connection.clear

    def _get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        with self._clear(f"GET {path}"):
            return answers.mapping(self._request("GET", path, params), path)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as exc:
        raise Unexpected("the answer is not JSON") from exc


def words(body: object) -> str:
    """Return Label Studio's message, short enough for a log line and a database column."""
    try:
        said = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        said = body
    if isinstance(said, dict):
        said = said.get("validation_errors") or said.get("detail") or said
    # After the reason, Label Studio repeats the whole task.
    return " ".join(re.sub(r" :: \{.*", "", _flat(said)).split())[:500]


def _flat(said: object) -> str:
    if isinstance(said, dict):
        return "; ".join(f"{name}: {text}" if name != "non_field_errors" else text for name, text in _parts(said))
    if isinstance(said, list):
        return "; ".join(text for item in said if (text := _flat(item)))
    return str(said)


def _parts(said: dict[str, object]) -> list[tuple[str, str]]:
    return [(name, text) for name, value in said.items() if (text := _flat(value))]
