"""The gunicorn worker class of both services: `gunicorn --worker-class labelloop.process.serving.Worker ...`.

gunicorn starts, watches and ends the processes. Inside each of them waitress reads heads and bodies and sends
responses without a thread for each. So a slow client uses a connection for a bounded time, and never a thread.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, abort, request
from gunicorn.workers import base
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.utilities import BadRequest

from labelloop.process import problems
from labelloop.process.listening import ACCEPT_PAUSE_S, CONNECTIONS, HURRY_S, Server
from labelloop.process.parking import Lot, Parked, Task, allowed

BODY_LIMIT = "labelloop.body_limit"
"""Key of `app.extensions`. Its value gives the largest allowed body in bytes, by the head of a request (BodyLimit)."""
BodyLimit = Callable[[Mapping[str, str]], int]
"""Header names are in capitals with _ for -. Nothing is read beyond the limit: the application gets a truncated body,
and the connection is closed after its response.
"""
AT_START = "labelloop.at_start"
"""Key of `app.extensions`: a function that each process runs in a thread when it starts. gunicorn may load the
application before it forks, and threads do not survive a fork.
"""
SMALL_BODY = 64 << 10
"""Limit in bytes for a caller without a secret: enough for a login or the reason of a decision."""
PHASE_TIMEOUTS_S = {"idle": 15.0, "head": 10.0, "body": 60.0, "answer": 60.0, "rest": 2.0}
"""Seconds that a connection may stay in each phase. `idle` is longer than clients keep an unused connection (httpx:
5 s): otherwise we could close it just as they send a request. `answer` lasts until the client has read the response,
and SLOWEST extends it. In `rest` the bytes of an unwanted body are read, so that the client still gets the response.
"""
SLOWEST = 32 << 10
"""Bytes per second: for this many bytes read a client gets one more second. A model file may take minutes."""
MAX_HEAD = 32 << 10
RECEIVED = 64 << 10
"""Largest number of bytes that are read from a connection at once."""
CHECK_EVERY_S = 1.0
"""Seconds between two checks of the phase timeouts."""


def refuse_broken_queries(app: Flask) -> None:
    """Answer 400 to a query string with bytes that are not UTF-8: Werkzeug fails on them."""

    @app.before_request
    def _is_text() -> None:
        try:
            request.query_string.decode()
        except UnicodeDecodeError:
            abort(400, "the query of the address is not UTF-8")


class _Request(HTTPRequestParser):  # type: ignore[misc]
    """A request that is being read."""

    may_send: BodyLimit = staticmethod(lambda headers: SMALL_BODY)
    limit: int | None = None
    is_cut = False
    ticket: Parked | None = None
    """The ticket with which it was parked last. The next request of the connection may begin before this one ends."""
    completed: bool = False

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.headers_finished and not self.completed:
            if self.limit is None:
                self.limit = self.may_send(self.headers)
            if max(self.content_length, self.body_bytes_received) > self.limit:
                self.headers["CONNECTION"] = "close"
                self.is_cut = self.completed = True
                self.expect_continue = False
        return consumed


class _Problem(ErrorTask):  # type: ignore[misc]
    """The response to a request that is no HTTP; the application never sees it."""

    def execute(self) -> None:
        error = self.request.error
        body = json.dumps(problems.members(error.code, error.body)).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", problems.MEDIA_TYPE))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection with a timeout for each phase."""

    parser_class = _Request
    error_task_class = _Problem
    task_class = Task
    answers = 0
    rests = False
    sends_no_more = False
    request: Any = None
    close_when_flushed: bool = False

    def __init__(self, *args: Any, **named: Any) -> None:
        self._phase: tuple[str, object, int] = ("idle", None, 0)
        self._since = time.monotonic()
        self._unread = 0
        super().__init__(*args, **named)

    def service(self) -> None:
        if self.requests[0].error or getattr(self.requests[0], "is_cut", False):
            self.rests = True
        try:
            super().service()
        except Parked as ticket:
            self._park(ticket)
            return
        self.answers += 1
        if self.sends_no_more:
            self.close_when_flushed = True
            self.server.pull_trigger()

    def _park(self, ticket: Parked) -> None:
        """Keep the request for `ticket.wake()`, and give the thread back."""
        self.requests[0].ticket = ticket.with_traceback(None)  # it would keep every value of the application's frames
        self.server.lot.enter(self, ticket)
        if not ticket.park(self._resume) and not ticket.is_gone:  # woken in between
            self.server.lot.leave(self)
            self.server.add_task(self)

    def _resume(self) -> None:
        self.server.lot.leave(self)
        self.service()

    def is_overdue(self, now: float, crowded: bool) -> bool:
        phase = self._now(), self.request, self.answers
        if phase != self._phase:
            self._phase, self._since, self._unread = phase, now, self.total_outbufs_len
        limit = PHASE_TIMEOUTS_S.get(phase[0], float("inf"))
        if phase[0] == "answer":
            limit += (self._unread - self.total_outbufs_len) / SLOWEST
        return now - self._since > (min(limit, HURRY_S) if crowded and phase[0] in ("idle", "head") else limit)

    def is_at_work(self) -> bool:
        return self._now() not in ("idle", "rest")

    def _now(self) -> str:
        if self.rests and self.socket_is_shut:
            return "rest"
        if self.requests:
            return "work"
        if self.total_outbufs_len:
            return "answer"
        if self.request is None:
            return "idle"
        return "body" if self.request.headers_finished else "head"

    # If a client still sends while it gets its response, the kernel resets the connection and the response may be
    # lost. So we close our side only, and read until the client closes its side.

    socket_is_shut = False

    def readable(self) -> bool:
        return self.socket_is_shut or (not self.sends_no_more and bool(super().readable()))

    def handle_read(self) -> None:
        try:
            data = self.socket.recv(self.adj.recv_bytes)
        except OSError:
            super().handle_close()
            return
        if data:
            self.last_activity = time.time()
            self.received(data)
        elif self.socket_is_shut:
            super().handle_close()
        else:
            self._end()

    def _end(self) -> None:
        """Handle a client that sends no more, but may still read its response."""
        self.sends_no_more = True
        with self.requests_lock:
            if self.request is not None:
                self.request.error = BadRequest("the request breaks off")
                self.requests.append(self.request)
                self.request = None
                if len(self.requests) == 1:
                    self.server.add_task(self)
        if not self.is_at_work():
            super().handle_close()

    def received(self, data: bytes) -> bool:
        return False if self.socket_is_shut else bool(super().received(data))

    def handle_close(self) -> None:
        if self.rests and self.connected and not self.socket_is_shut:
            self.socket_is_shut, self.will_close = True, False
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                super().handle_close()
            return
        super().handle_close()


class Worker(base.Worker):  # type: ignore[misc]
    """gunicorn's worker class. `--threads` requests are answered at the same time; the next ones are read and wait."""

    def run(self) -> None:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # waiting requests are normal
        adjustments = Adjustments(
            threads=self.cfg.threads,
            connection_limit=CONNECTIONS,
            cleanup_interval=CHECK_EVERY_S,
            max_request_header_size=MAX_HEAD,
            recv_bytes=RECEIVED,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # the review pages read X-Forwarded-Proto for their cookies
            log_socket_errors=False,
            ident=None,
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(self.cfg.threads)
        extensions = getattr(self.wsgi, "extensions", {})
        may_send = extensions.get(BODY_LIMIT)
        request_class: Any = type("Request", (_Request,), {"may_send": staticmethod(may_send)} if may_send else {})
        channel_class: Any = type("Channel", (_Channel,), {"parser_class": request_class})
        self.map: dict[int, Any] = {}
        self.lot = Lot(self.map, allowed(CONNECTIONS))
        self.servers = []
        for listener in self.sockets:
            listener.sock.setblocking(False)
            info = (listener.sock.family, listener.sock.type, listener.sock.proto, listener.sock.getsockname())
            server = Server(
                self.wsgi, self.map, _sock=listener.sock, dispatcher=dispatcher, adj=adjustments, bind_socket=False,
                sockinfo=info,
            )  # fmt: skip
            server.channel_class, server.lot = channel_class, self.lot
            server.pause_s = ACCEPT_PAUSE_S if self.cfg.workers > 1 else 0.0
            self.servers.append(server)
        gc.freeze()  # modules are no garbage: collections need not visit them, nor copy the pages that processes share
        if at_start := extensions.get(AT_START):
            threading.Thread(target=at_start, daemon=True).start()
        while self.alive and self.ppid == os.getppid():
            self._turn()
        self._finish()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.alive = False
        for server in self.servers:
            server.pull_trigger()

    def _turn(self) -> None:
        self.notify()
        pauses = any(server.pauses_until > time.monotonic() for server in self.servers)
        wasyncore.loop(timeout=ACCEPT_PAUSE_S if pauses else CHECK_EVERY_S, use_poll=True, map=self.map, count=1)

    def _finish(self) -> None:
        """Accept no more connections, close those without a request or with a parked one, and answer the others."""
        for server in self.servers:
            server.accepting = False
            server.del_channel()
        self.lot.close()
        until = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < until:
            channels = [channel for server in self.servers for channel in list(server.active_channels.values())]
            if not any(channel.is_at_work() for channel in channels):
                return
            for channel in channels:
                channel.will_close = channel.will_close or not channel.is_at_work()
            self._turn()
