"""The listening socket of a service: how many connections a process takes, and when it leaves them to another one."""

from __future__ import annotations

import time
from typing import Any

from waitress.server import TcpWSGIServer

from labelloop.process.parking import Lot

CONNECTIONS = 256
"""Connections of one process, without parked ones (parking.py). Further ones wait in the listening socket until one of
them ends.
"""
CROWDED, HURRY_S = 0.75, 1.0
"""If more than this share of the connections is open, those without a request are closed after HURRY_S seconds."""
ACCEPT_PAUSE_S = 0.003
"""Seconds in which a process leaves new connections to the other processes after it has taken one. Otherwise the
process that is awake takes both of two that come together, and the other one has none.
"""


class Server(TcpWSGIServer):  # type: ignore[misc]
    """The connections of one process."""

    lot: Lot
    pause_s = 0.0
    """Seconds without another new connection after one."""
    pauses_until = 0.0

    def readable(self) -> bool:
        return bool(super().readable()) and time.monotonic() >= self.pauses_until

    def accept(self) -> Any:
        accepted = super().accept()
        if accepted is not None:
            self.pauses_until = time.monotonic() + self.pause_s
        return accepted

    def maintenance(self, now: float) -> None:
        at, crowded = time.monotonic(), len(self._map) > CROWDED * CONNECTIONS
        for channel in list(self.active_channels.values()):
            if channel.is_overdue(at, crowded):
                channel.rests = False
                channel.will_close = True
