"""Prints Label Studio's default list of banned networks without the addresses that it may call.

    .venv-label-studio/bin/python -m compose.ban_list 172.31.77.4/31

The default list is read out of the installed Label Studio, never kept here: after an upgrade run it again.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

Network = IPv4Network | IPv6Network


def default_list(package: Path) -> list[Network]:
    """The networks that Label Studio bans by default; `package` is the folder of `label_studio`."""
    tree = ast.parse((package / "core" / "utils" / "io.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "default_banned_subnets":
            return [ip_network(text) for text in ast.literal_eval(node.value)]
    raise SystemExit(f"no default_banned_subnets in {package}/core/utils/io.py: this Label Studio is another")


def without(banned: Iterable[Network], allowed: Network) -> Iterator[Network]:
    """`banned` with `allowed` cut out: a network that holds it is replaced by the parts around it."""
    for network in banned:
        if isinstance(network, IPv4Network) and isinstance(allowed, IPv4Network) and allowed.subnet_of(network):
            yield from sorted(network.address_exclude(allowed))
        else:
            yield network


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        raise SystemExit("usage: python -m compose.ban_list NETWORK")
    spec = importlib.util.find_spec("label_studio")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("run it by the Python of Label Studio's environment")
    networks = default_list(Path(spec.submodule_search_locations[0]))
    print(",".join(map(str, without(networks, ip_network(arguments[0])))))


if __name__ == "__main__":
    main(sys.argv[1:])
