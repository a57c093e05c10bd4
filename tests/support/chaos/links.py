"""The links between the processes: proxies that lose, cut, delay or refuse what passes, while the weather is bad."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = (
    "refuse",
    "reset before",
    "reset after",
    "drop reply",
    "cut reply",
    "502 after",
    "503 before",
    "late",
    "silent",
)
"""Faults of a request. `after`: it has taken effect, and the caller does not know."""
LATE_S = 3.0
"""Seconds by which a request or its reply may be late."""
_HOP_BY_HOP = {"host", "connection", "keep-alive", "accept-encoding", "content-length", "transfer-encoding", "date"}
_RESET = struct.pack("ii", 1, 0)


@dataclass
class HttpLink:
    """Forwards HTTP to `target`. While `rate` is above 0, that share of the requests suffers a fault."""

    name: str
    target: str
    rng: random.Random
    rate: float = 0.0
    faults: tuple[str, ...] = FAULTS
    silence_s: float = 6.0
    """Seconds for which a silent request gets nothing at all."""
    suffered: dict[str, int] = field(default_factory=dict)
    """Number of requests by fault."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = _server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def draw(self, method: str, path: str) -> tuple[str, float]:
        """Return the fault of this request ("" for none), and the seconds that it lasts."""
        with self._lock:
            if self.rng.random() >= self.rate:
                return "", 0.0
            fault = self.rng.choice(self.faults)
            self.suffered[fault] = self.suffered.get(fault, 0) + 1
            return fault, self.rng.uniform(0.2, LATE_S) if fault == "late" else self.silence_s

    def wait(self, seconds: float) -> None:
        self._over.wait(seconds)

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    head: list[tuple[str, str]]
    body: bytes


def _forward(target: str, method: str, path: str, head: dict[str, str], body: bytes) -> _Reply:
    at = urlsplit(target)
    connection = http.client.HTTPConnection(at.hostname or "", at.port or 80, timeout=120)
    try:
        connection.request(method, path, body, head)
        reply = connection.getresponse()
        said = reply.read()
        return _Reply(reply.status, [h for h in reply.getheaders() if h[0].lower() not in _HOP_BY_HOP], said)
    finally:
        connection.close()


def _server(link: HttpLink) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            head = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
            fault, seconds = link.draw(self.command, self.path)
            if fault in ("refuse", "reset before"):
                return self.end(reset=fault == "reset before")
            if fault == "503 before":
                return self.say(_Reply(503, [("Content-Type", "text/plain")], b"unavailable"))
            if fault == "late" and seconds > LATE_S / 2:  # the request; else its reply
                link.wait(seconds)
            try:
                reply = _forward(link.target, self.command, self.path, head, body)
            except (OSError, http.client.HTTPException):  # the server is down
                return self.end()
            if fault in ("late", "silent") and (fault == "silent" or seconds <= LATE_S / 2):
                link.wait(seconds)
            if fault in ("drop reply", "reset after", "silent"):
                return self.end(reset=fault == "reset after")
            if fault == "502 after":
                reply = _Reply(502, [("Content-Type", "text/plain")], b"bad gateway")
            return self.say(reply, cut=fault == "cut reply")

        def say(self, reply: _Reply, *, cut: bool = False) -> None:
            self.send_response(reply.status)
            for name, value in reply.head:
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: len(reply.body) // 2] if cut else reply.body)
            if cut:
                self.end()

        def end(self, *, reset: bool = False) -> None:
            self.close_connection = True
            if reset:
                with suppress(OSError):
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = serve

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the client was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server


class TcpLink:
    """Passes bytes on to a port of this machine. It can be cut, and it can be silent: packets are not passed on."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self._target = name, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._passes = threading.Event()
        self._passes.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """End every connection with an RST."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def hush(self) -> None:
        self._passes.clear()

    def speak(self) -> None:
        """Pass on again, but only on new connections: those that fell silent end."""
        self.reset()
        self._passes.set()

    def close(self) -> None:
        self._listener.close()
        self.speak()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._passes.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            self._open |= {near, far}
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._passes.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, sink}


def pause(seconds: float, over: threading.Event) -> bool:
    """Wait; False if it is over meanwhile."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if over.wait(min(0.2, max(0.0, until - time.monotonic()))):
            return False
    return not over.is_set()
