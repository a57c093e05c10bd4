"""A request to Label Studio whose answer never comes, because all packets vanish: run it in a network namespace.

`unshare -rn python -m tests.support.network.silence` prints the error and the seconds until the caller has it.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time

from labelloop.errors import Ambiguous
from labelloop.labelstudio.connection import Connection

ADDRESS, PORT = "10.9.9.9", 8000


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def main() -> None:
    ip("link set lo up")
    ip(f"addr add {ADDRESS}/32 dev lo")
    listener, over = socket.create_server((ADDRESS, PORT)), threading.Event()

    def fall_silent() -> None:
        ends, _ = listener.accept()
        ends.recv(1 << 16)
        ip(f"addr del {ADDRESS}/32 dev lo")
        ip(f"route add blackhole {ADDRESS}/32")
        over.wait()

    threading.Thread(target=fall_silent, daemon=True).start()
    connection = Connection(f"http://{ADDRESS}:{PORT}", "a" * 40)
    began = time.monotonic()
    try:
        with connection.clear("an import", write=True):
            connection.request("POST", "api/projects/1/import", body=[])
    except Ambiguous as exc:
        print(type(exc).__name__, round(time.monotonic() - began))


if __name__ == "__main__":
    main()
