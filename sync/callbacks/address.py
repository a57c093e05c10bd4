"""The address of a receiver: which are accepted, and the IP address to connect to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from labelloop.errors import SettingsError
from labelloop.process.connecting import pinned, resolve
from labelloop.process.settings import Settings
from labelloop.spec.fetching import Private, is_public

SETTING = "LABELLOOP_CALLBACK_PRIVATE"
LONGEST = 2000
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address, as httpx requests it."""

    url: httpx.URL
    headers: Mapping[str, str]
    extensions: Mapping[str, str]


def private(settings: Settings) -> Private:
    """Return the private hosts and networks to which callbacks may be sent. Raises SettingsError for no network."""
    try:
        return Private.read(settings.callback_private)
    except ValueError as exc:
        raise SettingsError(f"{SETTING} is {settings.callback_private!r}: {exc}") from None


def check(url: str, allowed: Private) -> Target:
    """Look the host up and return where to connect. It is called when a callback is added and before each try.

    Raises ValueError if it is no web address, if its host is unknown, or if the host leads to a private address that
    `allowed` does not name. Also for http:// on the public internet, where anybody on the way could read the answers.
    The message is the rest of a sentence that begins with the address.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, TypeError) as exc:
        raise ValueError(f"is no web address: {exc}") from None
    if parsed.scheme not in PORTS or not parsed.host:
        raise ValueError("is no web address: it begins with https:// and a host")
    if len(url) > LONGEST or not url.isprintable() or " " in url:
        raise ValueError(f"is no web address: it has at most {LONGEST:,} characters, all printable and no blanks")
    if parsed.userinfo or parsed.fragment:
        raise ValueError("has a user name, a password or a fragment: the signature tells the receiver who calls")
    port = PORTS[parsed.scheme] if parsed.port is None else parsed.port
    if not 0 < port < 65_536:
        raise ValueError(f"is no web address: {port} is no port")
    address = resolve(allowed, parsed.host, port, SETTING)
    if parsed.scheme == "http" and is_public(address):
        raise ValueError(f"leads to {address} on the public internet: it needs https://")
    return Target(*pinned(parsed, address, port))
