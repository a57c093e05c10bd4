"""Rules for fetching pictures: the addresses that a loop names, and the private hosts that the settings name. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

WEB = ("http", "https")
OF_LABEL_STUDIO = ("s3", "gs", "azure-blob")
"""URL schemes of the storages that Label Studio resolves."""
FILES = "/data/"
"""Beginning of the paths of Label Studio's own files: uploads and local files."""
_WITH_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""Networks whose addresses end in an IPv4 address: that of IPv6-only networks (RFC 6052), and the compatible one."""


def check_beginning(beginning: str) -> str:
    """Return the beginning of an address as given in `learner.fetch`. Raises ValueError if it is not one."""
    if beginning.startswith(FILES):
        return beginning
    parts = _split(beginning)
    if parts is None or parts.scheme not in (*WEB, *OF_LABEL_STUDIO) or "://" not in beginning:
        known = ", ".join(f"{scheme}://" for scheme in (*WEB, *OF_LABEL_STUDIO))
        raise ValueError(f"an address begins with {known} or {FILES}; found {beginning!r}")
    return beginning


def covers(beginning: str, address: str) -> bool:
    """Whether the address has this beginning: the same scheme and host, and a path below its path.

    A beginning without a host allows any host.
    """
    if beginning.startswith("/") or address.startswith("/"):
        return address.startswith(beginning) and not climbs(address)
    named, given = _split(beginning), _split(address)
    if named is None or given is None or given.username is not None or climbs(given.path):
        return False
    return (
        given.scheme == named.scheme
        and (not named.netloc or given.netloc.lower() == named.netloc.lower())
        and (given.path or "/").startswith(named.path)
    )


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet: not private, not this machine, and not multicast.

    An IPv4 address inside IPv6 (mapped, compatible, 6to4, Teredo, NAT64) is judged as the IPv4 address.
    """
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inside = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        if found.is_site_local:  # deprecated, but still inside of a site
            return False
        if any(found in network for network in _WITH_IPV4):
            inside.append(IPv4Address(int(found) & 0xFFFFFFFF))
        if any(one is not None and not is_public(str(one)) for one in inside):
            return False
        if found.ipv4_mapped is not None:
            return True
    return found.is_global and not found.is_multicast


@dataclass(frozen=True, slots=True)
class Private:
    """Private hosts (`minio`, `minio:9000`) and networks (`10.0.0.0/8`) from which pictures may be fetched."""

    names: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()

    @staticmethod
    def read(text: str) -> Private:
        """Read a comma-separated list. Raises ValueError for an invalid network."""
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        networks = [word for word in words if "/" in word]
        for network in networks:
            ip_network(network)
        return Private(frozenset(words) - set(networks), tuple(networks))

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether a connection to `address` is allowed, where `address` is an IP address to which `host` resolves."""
        if is_public(address):
            return True
        if {host.lower(), f"{host.lower()}:{port}"} & self.names:
            return True
        return any(ip_address(address.partition("%")[0]) in ip_network(network) for network in self.networks)


def first_covering(beginnings: Sequence[str], address: str) -> str | None:
    """Return the first beginning that allows the address; None if none of them does."""
    return next((beginning for beginning in beginnings if covers(beginning, address)), None)


def climbs(path: str) -> bool:
    """Whether a server could resolve the path to one outside of its beginning, by `..`."""
    return ".." in unquote(path).replace("\\", "/").split("/")


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - raises if the port is no number
    except ValueError:
        return None
    return parts
