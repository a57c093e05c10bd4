"""Tries from inside each container whom it reaches, and compares that with the table of docs/operators/deploy.md.

    python3 compose/trial/network_matrix.py [PREFIX ...]

PREFIX is what runs `docker` in the trial's engine; without it this machine's own is used. Exit status: 0 the table is
true, 1 it is not. Only the project's containers are asked, and one address outside of them (OUTSIDE=ADDRESS:PORT).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

PORTS = {"postgres": 5432, "label-studio": 8080, "sync": 8601, "backend": 8602}
OURS = {"postgres", "sync", "backend"}
REACHES = {
    "label-studio": {"postgres", "sync", "backend", "outside"},
    "sync": {*OURS, "label-studio"},
    "sync-worker": {*OURS, "label-studio"},
    "backend": {*OURS, "label-studio"},
    "backend-worker": {"postgres"},
}
"""Container to those that it reaches, beside itself: the table of docs/operators/deploy.md."""

PROBE = """
import json, socket, sys
for name, (addresses, port) in json.loads(sys.argv[1]).items():
    for address in addresses:
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            continue
        print(name)
        break
"""


def main(prefix: list[str]) -> int:
    docker = [*prefix, "docker"]
    targets = {name: (addresses(docker, name), port) for name, port in PORTS.items()}
    if at := os.environ.get("OUTSIDE"):
        host, port = at.rsplit(":", 1)
        targets["outside"] = ([host], int(port))
    wrong = 0
    for name, expected in REACHES.items():
        asked = {target: where for target, where in targets.items() if target != name}
        command = [*docker, "compose", "exec", "-T", name, "python", "-c", PROBE, json.dumps(asked)]
        found = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        is_true = found == expected & set(asked)
        wrong += not is_true
        print(f"{name:<15} reaches {', '.join(sorted(found)) or 'nothing'}", end="")
        print("" if is_true else f", and should reach {', '.join(sorted(expected & set(asked)))}")
    return 1 if wrong else 0


def addresses(docker: list[str], service: str) -> list[str]:
    """Every address of the service's container, on whatever network: a name alone would hide some."""
    command = [*docker, "compose", "ps", "-q", service]
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    wanted = "{{json .NetworkSettings.Networks}}"
    said = subprocess.run([*docker, "inspect", "-f", wanted, container], check=True, capture_output=True, text=True)
    return [network["IPAddress"] for network in json.loads(said.stdout).values()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
