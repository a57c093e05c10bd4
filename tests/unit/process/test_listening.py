"""The listening socket that the processes of a service share."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from waitress.adjustments import Adjustments

from labelloop.process.listening import Server


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.setblocking(False)
        yield found


def server(listener: socket.socket, pause_s: float) -> Any:
    """Return the server of one process."""
    made = Server(
        lambda environ, start: [], {}, _sock=listener.dup(), dispatcher=object(), adj=Adjustments(), bind_socket=False,
        sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
    )  # fmt: skip
    made.pause_s = pause_s
    made.socket.setblocking(False)
    return made


def test_the_second_of_two_connections_is_left_to_the_other_process(listener: socket.socket) -> None:
    one, other = server(listener, 3600), server(listener, 3600)
    with socket.create_connection(listener.getsockname()), socket.create_connection(listener.getsockname()):
        assert one.readable()
        assert one.accept() is not None
        assert not one.readable()
        assert other.readable()
        assert other.accept() is not None
        one.pauses_until = 0  # the pause is over
        assert one.readable()
        assert one.accept() is None  # there is no third one
        assert one.readable()


def test_a_process_alone_pauses_never(listener: socket.socket) -> None:
    alone = server(listener, 0)
    with socket.create_connection(listener.getsockname()):
        assert alone.accept() is not None
        assert alone.readable()
