"""Connections to hosts that other people name: the host is resolved once, checked, and connected to by that address.

A host name whose address changes between the check and the connection cannot lead elsewhere.
"""

from __future__ import annotations

import socket

import httpx

from labelloop.spec.fetching import Private


class Unanswered(ValueError):
    """The host does not answer, or its name is unknown: another request to the same host would fail too."""


def resolve(private: Private, host: str, port: int, setting: str) -> str:
    """Return an IP address of the host.

    Raises ValueError if any of its addresses is private and not allowed by `private`; `setting` is the variable that
    would allow it. Raises Unanswered for an unknown host.
    """
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (socket.gaierror, UnicodeError):
        raise Unanswered(f"names a host that is not known: {host[:100]!r}") from None
    for address in map(str, found):
        if not private.allows(host, port, address):
            raise ValueError(
                f"leads to the private address {address} ({host[:100]!r}); {setting} names the hosts "
                "and networks where that is allowed"
            )
    return str(found[0])


def pinned(url: httpx.URL, address: str, port: int) -> tuple[httpx.URL, dict[str, str], dict[str, str]]:
    """Return URL, headers and extensions of a request that connects to `address` and names the host of `url`."""
    literal = f"[{address}]" if ":" in address else address
    return (
        url.copy_with(host=literal, port=port, userinfo=b""),
        {"Host": url.netloc.decode("ascii")},
        {"sni_hostname": url.raw_host.decode("ascii")},  # with an umlaut, as certificates have it: xn--...
    )
