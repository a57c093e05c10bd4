"""A proxy before Label Studio that knows what an import is, and can hold it, or drop or cut the answer to it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("none", "hold request", "hold reply", "drop reply", "cut reply", "answer 502")


class Proxy:
    """Forwards everything. An import (of tasks, or of predictions) suffers `fault`, once; then all is well again."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.fault = "none"
        self.strikes = "/import"
        """Part of the path of the POSTs that suffer."""
        self.struck = threading.Event()
        """The fault has been met: the request is held, or its answer is lost."""
        self.let_go = threading.Event()
        """Set: what is held goes on. A held request is then forwarded, even when the client has gone."""
        self.away = False
        """Every connection is closed without an answer."""
        self.ahead_s = 0.0
        """So far its clock is ahead of ours, by the Date that it says."""
        self.release = ""
        """The version that it says Label Studio has; empty: the true one."""
        self.imports = 0
        self._server = _server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def arm(self, fault: str) -> None:
        assert fault in FAULTS
        self.struck.clear()
        self.let_go.clear()
        self.fault = fault

    def take_fault(self, method: str, path: str) -> str:
        """The fault that this request suffers."""
        if method != "POST" or self.strikes not in path:
            return "none"
        self.imports += 1
        fault, self.fault = self.fault, "none"
        return fault

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, str]:
        assert self.target.hostname
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port or 80, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if self.release and path.startswith("/api/version"):
                said = json.dumps({**json.loads(said), "release": self.release}).encode()
            return answer.status, said, answer.headers.get("Content-Type", "")
        finally:
            connection.close()

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    with Proxy(target) as server:
        yield server


def _server(owner: Proxy) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            dropped = ("host", "connection", "accept-encoding", "content-length")
            headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
            if owner.away:
                self.close_connection = True
                return
            fault = owner.take_fault(self.command, self.path)
            if fault == "hold request":
                owner.struck.set()
                owner.let_go.wait()
            status, answer, kind = owner.forward(self.command, self.path, headers, body)
            if fault in ("hold reply", "drop reply", "cut reply", "answer 502"):
                owner.struck.set()
            if fault == "hold reply":
                owner.let_go.wait()
            if fault in ("hold reply", "drop reply"):
                self.close_connection = True
                return
            if fault == "answer 502":
                status, answer = 502, b"Bad Gateway"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if fault == "cut reply":
                answer, self.close_connection = answer[: len(answer) // 2], True
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = serve

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((time.time() if timestamp is None else timestamp) + owner.ahead_s)

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, OSError):  # the client was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server
