"""The way to Postgres: a pool of connections with deadlines, and transactions that the caller owns."""

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

# A peer that vanishes must not hang us for ever: keepalives do not help while data is in flight, tcp_user_timeout does.
# Compiling a statement (jit) takes half a second, and ours are done in milliseconds.
DEADLINES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "tcp_user_timeout": 10_000,
    "application_name": "labelloop",
    "options": "-c statement_timeout=60s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s -c jit=off",
}

QUIET_S = 4.0
"""After this long without an answer to a statement, look whether Postgres answers at all."""
LOOK_S = 3
"""How long a new connection may take then. Together they are less than the 10 s in which a request gets its 503."""
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
    """A connection that gives up when Postgres is there but mute: stopped, or behind a network that swallows packets.

    libpq waits for ever then, because the kernel at the other end still acknowledges what we send. A statement that is
    only slow goes on, as a new connection is answered meanwhile.
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
                elif time.monotonic() - heard > QUIET_S:
                    if not self.answers():
                        self.pgconn.finish()
                        raise psycopg.OperationalError("it is silent, and takes no new connection")
                    heard = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value


class _Look:
    """Whether a Postgres answers, asked by one thread at a time; what one finds the others believe for a second."""

    def __init__(self, url: str) -> None:
        self._url = make_conninfo(url, **{**DEADLINES, "connect_timeout": LOOK_S})
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
            return "FATAL" in str(exc)  # the server's own word, such as that it has no place for one more
        return True


class Database:
    """A small pool on one Postgres database. Rows come back as dicts; `rows_of` makes them values of a class.

    Raises Unreachable where no connection can be had within `wait_s` seconds, Retriable where a statement takes too
    long.
    """

    def __init__(self, url: str, *, size: int = 8, wait_s: float = 5.0) -> None:
        self.url = url
        self._wait_s = wait_s
        watched: type[Conn] = type("Watched", (_Watched,), {"answers": staticmethod(_Look(url))})
        self._pool: ConnectionPool[Conn] = ConnectionPool(
            make_conninfo(url, **DEADLINES),
            connection_class=watched,
            kwargs={"row_factory": dict_row},
            min_size=0,
            max_size=size,
            timeout=wait_s,
            # The default backs off for up to five minutes: so long would a Postgres that is back stay unseen.
            reconnect_timeout=wait_s,
            check=ConnectionPool.check_connection,
            open=False,
        )

    @contextmanager
    def transaction(self) -> Iterator[Conn]:
        """A connection inside one transaction: committed at the end, rolled back on any exception."""
        try:
            self._pool.open()  # at first use: its threads would not live on in a forked process
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as exc:
            raise Unreachable(f"Postgres does not answer within {self._wait_s:g} s") from exc
        except psycopg.errors.QueryCanceled as exc:
            raise Retriable(f"a statement took too long, and Postgres broke it off: {exc}") from exc
        except psycopg.OperationalError as exc:
            raise Unreachable(f"Postgres does not answer: {exc}") from exc
        except (psycopg.DataError, UnicodeEncodeError) as exc:
            raise Unstorable(f"Postgres cannot take what was given: {exc}") from exc
        except psycopg.errors.UndefinedTable as exc:
            raise SettingsError("the database has not labelloop's tables: `labelloop migrate` makes them") from exc

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
