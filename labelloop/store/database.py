"""A pool of connections to Postgres with deadlines, and transactions that the caller owns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, get_type_hints

import psycopg
from psycopg import Connection, Cursor
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row, kwargs_row
from psycopg_pool import ConnectionPool, PoolTimeout

from labelloop.errors import Retriable, SettingsError, Unreachable, Unstorable
from labelloop.store.record import acting

# tcp_user_timeout ends a connection whose peer has vanished. Keepalives do not while data is in flight.
# Compiling a statement (jit) takes half a second, and our statements take milliseconds.
# In another time zone than UTC, a stored time of the year 9999 could be of the year 10000, which Python cannot read.
DEADLINES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "tcp_user_timeout": 10_000,
    "application_name": "labelloop",
    "options": "-c statement_timeout=60s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s -c jit=off "
    "-c timezone=UTC",
}

SILENT_CONNECTION_S = 4.0
"""After this long without an answer to a statement, a probe checks whether Postgres answers at all."""
PROBE_S = 3
"""Time limit of the probe's connection. Both together are less than the 10 s after which a request gets its 503."""
Conn = Connection[DictRow]
Row = TypeVar("Row")


def rows_of(conn: Conn, row: Callable[..., Row]) -> Cursor[Row]:
    """Return a cursor whose rows are values of this dataclass; a column becomes the StrEnum that its field names."""
    enums = _enums(row)
    if not enums:
        return conn.cursor(row_factory=kwargs_row(row))

    def make(**columns: Any) -> Row:
        for name, enum in enums:
            columns[name] = enum(columns[name])
        return row(**columns)

    return conn.cursor(row_factory=kwargs_row(make))


def columns(row: type, table: str = "") -> str:
    """Return the names of a dataclass's fields as a select list; `table` is the prefix of each name."""
    return ", ".join(f"{table}.{field.name}" if table else field.name for field in fields(row))


@cache
def _enums(row: Hashable) -> list[tuple[str, type[StrEnum]]]:
    """Return the fields of the class that are a StrEnum, and which."""
    hints = get_type_hints(row)
    return [(name, hint) for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, StrEnum)]


class _Watched(Connection[DictRow]):
    """A connection that gives up when Postgres does not answer: stopped, or behind a network that drops packets.

    libpq would wait for ever, because the kernel at the other end still acknowledges our packets. A slow statement goes
    on, because Postgres answers the probe meanwhile.
    """

    answers: Callable[[], bool]

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **named: Any) -> Any:
        return super().wait(self._watch(gen), *args, **named)

    def _watch(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENT_CONNECTION_S:
                    if not self.answers():
                        self.pgconn.finish()
                        raise psycopg.OperationalError("the connection is silent, and a new one is not possible")
                    heard = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value


class _Probe:
    """A check whether Postgres answers. One thread connects, and all threads use its result for a second."""

    def __init__(self, url: str) -> None:
        self._url = make_conninfo(url, **{**DEADLINES, "connect_timeout": PROBE_S})
        self._lock = threading.Lock()
        self._found, self._at = True, float("-inf")

    def __call__(self) -> bool:
        with self._lock:
            if time.monotonic() - self._at > 1:
                self._found, self._at = self._ask(), time.monotonic()
            return self._found

    def _ask(self) -> bool:
        try:
            psycopg.connect(self._url).close()
        except psycopg.Error as exc:
            return "FATAL" in str(exc)  # an answer of the server, for example that it has too many connections
        return True


class Database:
    """A small pool of connections to one database. Rows are dicts; `rows_of` makes them values of a class.

    `actor` is the name under which the record lists its changes. A thread may name another (store/record/acting.py).

    Raises Unreachable without a connection within `wait_s` seconds, and Retriable if a statement takes too long.
    """

    def __init__(self, url: str, *, size: int = 8, wait_s: float = 5.0, actor: str = "") -> None:
        self.url = url
        self._wait_s = wait_s
        watched: type[Conn] = type("Watched", (_Watched,), {"answers": staticmethod(_Probe(url))})
        self._pool: ConnectionPool[Conn] = ConnectionPool(
            make_conninfo(url, **{**DEADLINES, "options": DEADLINES["options"] + acting.option(actor)}),
            connection_class=watched,
            kwargs={"row_factory": dict_row},
            min_size=0,
            max_size=size,
            timeout=wait_s,
            # The default waits up to five minutes between attempts, and would notice Postgres that much later.
            reconnect_timeout=wait_s,
            check=ConnectionPool.check_connection,
            open=False,
        )

    @contextmanager
    def transaction(self) -> Iterator[Conn]:
        """Yield a connection inside one transaction: committed at the end, rolled back on any exception."""
        try:
            self._pool.open()  # at first use, because its threads would not survive a fork
            with self._pool.connection() as connection:
                acting.tell(connection)
                yield connection
        except PoolTimeout as exc:
            raise Unreachable(f"Postgres does not answer within {self._wait_s:g} s") from exc
        except psycopg.errors.QueryCanceled as exc:
            raise Retriable(f"a statement took too long, and Postgres cancelled it: {exc}") from exc
        except psycopg.OperationalError as exc:
            raise Unreachable(f"Postgres does not answer: {exc}") from exc
        except (psycopg.DataError, UnicodeEncodeError) as exc:
            raise Unstorable(f"Postgres cannot store this value: {exc}") from exc
        except psycopg.errors.InsufficientPrivilege as exc:
            raise SettingsError(
                f"Postgres refuses this to the role of LABELLOOP_DATABASE_URL: {exc}. `labelloop migrate` gives that "
                "role its rights; it, `loop remove` and `forget` need LABELLOOP_OWNER_URL, the owner of the tables"
            ) from exc
        except psycopg.errors.UndefinedTable as exc:
            raise SettingsError("the database lacks labelloop's tables; `labelloop migrate` creates them") from exc

    def ping(self) -> None:
        """Raise Unreachable unless Postgres answers."""
        with self.transaction() as conn:
            conn.execute("select 1")

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
