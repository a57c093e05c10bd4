"""Many clients that wait, each with a connection of its own and no thread."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from urllib.parse import urlsplit


class Waiters:
    """Open connections, one for each key, on which a long poll was sent."""

    def __init__(self, url: str, token: str, loop: str, keys: Sequence[str], wait_s: float = 60) -> None:
        at = urlsplit(url)
        assert at.hostname is not None
        assert at.port is not None
        self.wires: list[socket.socket] = []
        self._read: dict[str, bytes] = {}
        self._polled = selectors.DefaultSelector()
        for key in keys:
            wire = socket.create_connection((at.hostname, at.port), timeout=30)
            head = f"Host: {at.netloc}\r\nAuthorization: Bearer {token}\r\n"
            path = f"/v1/loops/{loop}/outputs/{key}/answer?wait={wait_s:g}"
            wire.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
            self.wires.append(wire)
            self._polled.register(wire, selectors.EVENT_READ, key)

    def answered(self, seconds: float, most: int | None = None) -> dict[str, bytes]:
        """Return each response that comes within so many seconds; b"" for a connection that ended without one.

        It returns as soon as there are `most` of them, or as many as there are connections.
        """
        found: dict[str, bytes] = {}
        deadline = time.monotonic() + seconds
        while self._polled.get_map() and (most is None or len(found) < most):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for ready, _ in self._polled.select(left):
                wire = ready.fileobj
                assert isinstance(wire, socket.socket)
                try:
                    piece = wire.recv(8192)
                except ConnectionResetError:
                    piece = b""
                said = self._read[ready.data] = self._read.get(ready.data, b"") + piece
                if not piece or said.endswith(b"}\n"):  # all responses are JSON
                    found[ready.data] = said
                    self._polled.unregister(wire)
        return found

    def hang_up(self) -> None:
        for wire in self.wires:
            wire.close()

    def __enter__(self) -> Waiters:
        return self

    def __exit__(self, *_: object) -> None:
        self._polled.close()
        self.hang_up()
