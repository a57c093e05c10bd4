"""Parking: a request that waits for something keeps its connection, but no thread.

An application that finds a Lot under LOT of the environ raises `Parked(deadline)`. The thread goes back to the server,
and the client goes on waiting. Another thread calls `wake()` of that ticket later. Then the request is served again,
with the ticket under TICKET of the environ.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any

from waitress.task import WSGITask

LOT = "labelloop.parking.lot"
"""Key of the environ: the Lot of this process."""
TICKET = "labelloop.parking.ticket"
"""Key of the environ: the ticket with which this request was parked before."""
CUT_AT = "labelloop.cut_at"
"""Key of the environ: the limit in bytes behind which the server did not read the body; None if it read all of it."""
MOST_PARKED = 2_000
"""Parked requests of one process, beside its other connections."""
OTHER_FILES = 128
"""Open files that a process needs beside its connections."""


class Parked(BaseException):
    """The ticket of a parked request. It is no Exception, so that no error handler takes it for a failure."""

    owner = ""
    """Name of the caller, who may hold a fair share of the places."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline
        """By time.monotonic(). The application wakes the ticket then: the server does not look at it."""
        self.problem: Exception | None = None
        """The failure because of which nobody knows whether the request can go on; None if there is none."""
        self._lock = threading.Lock()
        self._resume: Callable[[], None] | None = None
        self._state = "new"

    @property
    def is_gone(self) -> bool:
        """Whether the client has hung up."""
        return self._state == "gone"

    def park(self, resume: Callable[[], None]) -> bool:
        """Keep `resume` for wake(). False if the ticket was woken before: then nobody calls it."""
        with self._lock:
            if self._state != "new":
                return False
            self._state, self._resume = "parked", resume
            return True

    def wake(self, problem: Exception | None = None) -> None:
        """Serve the request again, in this thread. Nothing happens if that was done, or if the client is gone."""
        with self._lock:
            if self._state not in ("new", "parked"):
                return
            self.problem = problem
            resume, self._state, self._resume = self._resume, "woken", None
        if resume is not None:
            resume()

    def leave(self) -> bool:
        """Give the place up, because the client is gone. False if the request is being served."""
        with self._lock:
            if self._state == "woken":
                return False
            self._state, self._resume = "gone", None
            return True


class Lot:
    """The parked channels of one process. They are not in the map of the server's loop, so that they cost it nothing.

    The lot itself is in that map, and hears of clients that hang up.
    """

    accepting = False

    def __init__(self, channels: dict[int, Any], most: int) -> None:
        self._channels = channels
        self._most = most
        self._parked: dict[int, tuple[Any, Parked]] = {}
        self._epoll = select.epoll()
        channels[self._epoll.fileno()] = self

    def __len__(self) -> int:
        return len(self._parked)

    @property
    def is_full(self) -> bool:
        return len(self._parked) >= self._most

    def has_share(self, owner: str) -> bool:
        """Return whether this caller may park one more request: see `is_fair`."""
        parked = len(self._parked)
        if is_fair(parked + 1, parked + 1, self._most):
            return True
        own = sum(ticket.owner == owner for _, ticket in list(self._parked.values()))
        return is_fair(own + 1, parked + 1, self._most)

    def enter(self, channel: Any, ticket: Parked) -> None:
        """Take the channel out of the server's loop, and listen only for its end."""
        fd = channel._fileno
        self._parked[fd] = channel, ticket
        self._channels.pop(fd, None)
        self._epoll.register(fd, select.EPOLLRDHUP)

    def leave(self, channel: Any) -> None:
        """Give the channel back to the server's loop."""
        fd = channel._fileno
        if self._parked.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            self._channels[fd] = channel

    def close(self) -> None:
        """End all parked connections, and park none any more: their clients ask again."""
        self._most = 0
        for channel, ticket in list(self._parked.values()):
            self._end(channel, ticket)

    def _end(self, channel: Any, ticket: Parked) -> None:
        if ticket.leave():
            self.leave(channel)
            channel.handle_close()

    # What the server's loop asks of everything in its map.

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        for fd, _ in self._epoll.poll(0):
            if (parked := self._parked.get(fd)) is not None:
                self._end(*parked)

    def handle_expt_event(self) -> None:
        pass

    def handle_close(self) -> None:
        pass

    def handle_error(self) -> None:
        pass


def is_fair(own: int, taken: int, most: int) -> bool:
    """Return whether a caller may hold `own` of the `taken` places: at most half of those that the others leave.

    So one caller alone gets half of all `most` places, the next one a quarter, and some are always free for another.
    """
    return 2 * own <= most - (taken - own)


class Task(WSGITask):  # type: ignore[misc]
    """A request that its application may park."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[LOT] = self.channel.server.lot
        environ[CUT_AT] = self.request.limit if self.request.is_cut else None
        if self.request.ticket is not None:
            environ[TICKET] = self.request.ticket
        return environ


def allowed(connections: int) -> int:
    """Return how many requests may be parked beside so many connections; raises the limit of open files for them."""
    import resource  # not on every system that only imports this file

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + MOST_PARKED + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(0, wanted - connections - OTHER_FILES)
