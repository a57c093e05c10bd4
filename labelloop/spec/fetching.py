"""What may be fetched: addresses that the loop names, and private hosts that the settings name; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

WEB = ("http", "https")
OF_LABEL_STUDIO = ("s3", "gs", "azure-blob")
"""Schemes that a storage of Label Studio resolves."""
FILES = "/data/"
"""Paths of Label Studio's own files: uploads and local files."""
_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as a network of IPv6 alone writes them: RFC 6052."""


def check_beginning(beginning: str) -> str:
    """The beginning of an address as `learner.fetch` takes it. Raises ValueError for anything else."""
    if beginning.startswith(FILES):
        return beginning
    parts = _split(beginning)
    if parts is None or parts.scheme not in (*WEB, *OF_LABEL_STUDIO) or "://" not in beginning:
        known = ", ".join(f"{scheme}://" for scheme in (*WEB, *OF_LABEL_STUDIO))
        raise ValueError(f"an address begins with {known} or {FILES}; found {beginning!r}")
    return beginning


def covers(beginning: str, address: str) -> bool:
    """Whether the address begins so: the same scheme and host, a path below the path. Without a host: any host."""
    if beginning.startswith("/") or address.startswith("/"):
        return address.startswith(beginning) and not _climbs(address)
    named, given = _split(beginning), _split(address)
    if named is None or given is None or given.username is not None or _climbs(given.path):
        return False
    return (
        given.scheme == named.scheme
        and (not named.netloc or given.netloc.lower() == named.netloc.lower())
        and (given.path or "/").startswith(named.path)
    )


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: not of a private network, this machine, or many at once.

    IPv4 inside IPv6 (mapped, 6to4, Teredo, NAT64) counts as the address that is inside.
    """
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inside = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        if found in _NAT64:
            inside.append(IPv4Address(int(found) & 0xFFFFFFFF))
        if any(one is not None and not is_public(str(one)) for one in inside):
            return False
        if found.ipv4_mapped is not None:
            return True
    return found.is_global and not found.is_multicast


@dataclass(frozen=True, slots=True)
class Private:
    """Hosts (`minio`, `minio:9000`) and networks (`10.0.0.0/8`) that pictures may be fetched from though not public."""

    names: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()

    @staticmethod
    def read(text: str) -> Private:
        """From a list with commas. Raises ValueError for a network that is none."""
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        networks = [word for word in words if "/" in word]
        for network in networks:
            ip_network(network)
        return Private(frozenset(words) - set(networks), tuple(networks))

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether a connection to `address`, which `host` was resolved to, is allowed."""
        if is_public(address):
            return True
        if {host.lower(), f"{host.lower()}:{port}"} & self.names:
            return True
        return any(ip_address(address.partition("%")[0]) in ip_network(network) for network in self.networks)


def first_covering(beginnings: Sequence[str], address: str) -> str | None:
    """The beginning that allows the address; None where none does."""
    return next((beginning for beginning in beginnings if covers(beginning, address)), None)


def _climbs(path: str) -> bool:
    """Whether a server could take the path for another one, outside of what it begins with."""
    return ".." in unquote(path).replace("\\", "/").split("/")


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return None
    return parts
