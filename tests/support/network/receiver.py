"""A receiver of callbacks for tests: what each path answers, and what arrived there."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Arrived:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The event, verified as a receiver does it."""
        said: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return said


@dataclass
class Receiver:
    """`/200`, `/500` and so on answer with this status, other paths are what receivers do wrong."""

    port: int
    arrived: list[Arrived] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    """Status that a path answers instead of the one in its name."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every answer."""
    open: threading.Event = field(default_factory=threading.Event)
    """Set: the path `/held` answers."""
    names: list[str | None] = field(default_factory=list)
    """Host names that TLS connections asked for."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Arrived]:
        return [one for one in self.arrived if one.path == path]


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """`tls`: the context of the server, which then speaks https only."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            there.arrived.append(Arrived(self.path, headers, body))
            if self.path == "/trickle":
                self._trickle()
                return
            if self.path == "/held":
                there.open.wait(60)
            name = self.path.strip("/")
            self.send_response(there.answers.get(self.path, int(name) if name.isdigit() else 200))
            for header, value in there.headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _trickle(self) -> None:
            """A header that never ends, a byte now and then: each read gets something."""
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not there.open.is_set():
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    there = Receiver(server.server_port)
    if tls is not None:
        tls.sni_callback = lambda _, name, __: there.names.append(name)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield there
    finally:
        there.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
