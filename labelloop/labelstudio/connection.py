"""The one way to Label Studio: through the SDK's own client, with every foreign error translated in one place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from labelloop.errors import Ambiguous, Refused, SettingsError, Unreachable
from labelloop.labelstudio.answers import Unexpected

READ: dict[str, Any] = {"timeout_in_seconds": httpx.Timeout(30, connect=3)}
"""Options of a GET; the SDK may repeat it."""
WRITE: dict[str, Any] = {"timeout_in_seconds": httpx.Timeout(130, connect=3), "max_retries": 0}
"""Options of anything else. An import may take long: uWSGI in front of Label Studio gives up after 120 s."""
NOT_DEFINITE = frozenset({408, 409, 425, 429})
"""Refusals that say nothing about whether the request took effect."""


class Connection:
    """One Label Studio, seen by the owner of `token` (personal or legacy)."""

    def __init__(self, url: str, token: str) -> None:
        # LabelStudio without its exports, which load pandas and more: half of a second and 100 MB less.
        from label_studio_sdk.base_client import LabelStudioBase
        from label_studio_sdk.core.api_error import ApiError

        self.url = url.rstrip("/")
        self._api_error: type[Exception] = ApiError
        self._http = httpx.Client(timeout=30, follow_redirects=False)
        sdk: Any = LabelStudioBase
        try:
            self.sdk: Any = sdk(base_url=self.url, api_key=token, httpx_client=self._http)
        except ApiError as exc:
            raise SettingsError(f"LABELLOOP_LABEL_STUDIO_TOKEN cannot be used: {words(exc.body)}") from exc

    def close(self) -> None:
        self._http.close()

    def authorization(self) -> str:
        """What the header Authorization must be now: the SDK trades a personal token for one of a few minutes."""
        return str(self.sdk._client_wrapper.get_headers()["Authorization"])

    def request(self, method: str, path: str, params: dict[str, Any] | None = None, *, body: Any = None) -> Any:
        """Through the SDK's own client, so that it keeps the token fresh. Only a GET may be repeated."""
        response = self._send(method, path, params, body, READ if method == "GET" else WRITE)
        if not 200 <= response.status_code < 300:
            raise self._api_error(status_code=response.status_code, body=response.text)  # type: ignore[call-arg]
        return _json(response)

    def attempt(self, method: str, path: str, params: dict[str, Any] | None = None, *, body: Any) -> tuple[int, Any]:
        """Status and body, of a refusal too; nothing is repeated. For what is asked in order to be refused."""
        response = self._send(method, path, params, body, WRITE)
        return response.status_code, _json(response) if response.content else None

    def _send(self, method: str, path: str, params: Any, body: Any, options: dict[str, Any]) -> httpx.Response:
        sent: httpx.Response = self.sdk._client_wrapper.httpx_client.request(
            path,
            method=method,
            params=params,
            json=body,
            headers={"content-type": "application/json"},
            request_options=options,
        )
        return sent

    @contextmanager
    def clear(self, what: str, *, write: bool = False) -> Iterator[None]:
        """Translate every foreign error. Of a write nothing but a definite refusal, or no connection, is clear."""
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


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as exc:
        raise Unexpected("the answer is not JSON") from exc


def words(body: object) -> str:
    """What Label Studio says, short enough for a log line and a database column."""
    try:
        said = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        said = body
    if isinstance(said, dict):
        said = said.get("validation_errors") or said.get("detail") or said
    # After the reason it repeats the whole task.
    return " ".join(re.sub(r" :: \{.*", "", _flat(said)).split())[:500]


def _flat(said: object) -> str:
    if isinstance(said, dict):
        return "; ".join(f"{name}: {text}" if name != "non_field_errors" else text for name, text in _parts(said))
    if isinstance(said, list):
        return "; ".join(text for item in said if (text := _flat(item)))
    return str(said)


def _parts(said: dict[str, object]) -> list[tuple[str, str]]:
    return [(name, text) for name, value in said.items() if (text := _flat(value))]
