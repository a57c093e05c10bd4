"""Counting: the requests that labelloop sends to Label Studio, and the processor seconds of everybody at work."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

HOP_BY_HOP = {"connection", "content-encoding", "content-length", "host", "transfer-encoding"}
Cpu = Mapping[str, float]


@contextmanager
def counted(url: str, seen: Counter[str]) -> Iterator[str]:
    """An address that passes every request on to `url`; `seen` counts them by method and path.

    Numbers in a path count as one: `GET /api/projects/7/` and `GET /api/projects/8/` are the same request.
    """
    with httpx.Client(base_url=url, timeout=150) as web:

        class Passing(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                seen[f"{self.command} {re.sub(r'[0-9]+', 'N', urlsplit(self.path).path)}"] += 1
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                answer = web.request(self.command, self.path, content=body, headers=headers)
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PATCH = do_DELETE = _pass

            def log_message(self, format: str, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def label_studio(url: str) -> Callable[[], float]:
    """Reads the processor seconds of gunicorn and its workers, which listen at `url`, on this machine."""
    port = urlsplit(url).port
    sockets = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    # They share the socket, and psutil names only one of them for it.
    one = psutil.Process(next(c.pid for c in sockets if tuple(c.laddr)[1:] == (port,)))
    parent = one.parent()
    first = parent if parent is not None and parent.cmdline() == one.cmdline() else one
    return partial(with_children, first)


def postgres(url: str) -> Callable[[], float]:
    """Reads the processor seconds of the whole server, on this machine: it serves labelloop and Label Studio."""
    with psycopg.connect(url) as conn:
        server = psutil.Process(conn.info.backend_pid).parent()
    assert server is not None
    return partial(with_children, server)


def with_children(process: psutil.Process) -> float:
    """Processor seconds of the process and all that it started, those that have ended too."""
    spent = 0.0
    with suppress(psutil.Error):
        times = process.cpu_times()
        spent += times.user + times.system + times.children_user + times.children_system
        spent += sum(with_children(child) for child in process.children())
    return spent


def read(meters: Mapping[str, Callable[[], float]]) -> Cpu:
    return {name: meter() for name, meter in meters.items()}
