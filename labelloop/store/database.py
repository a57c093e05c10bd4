"""The way to Postgres: a pool of connections with deadlines, and transactions that the caller owns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from labelloop.errors import Retriable, SettingsError, Unreachable

# A peer that vanishes must not hang us for ever: keepalives do not help while data is in flight, tcp_user_timeout does.
# Compiling a statement (jit) takes half a second, and ours are done in milliseconds.
DEADLINES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "tcp_user_timeout": 10_000,
    "application_name": "labelloop",
    "options": "-c statement_timeout=60s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s -c jit=off",
}

Conn = Connection[DictRow]


class Database:
    """A small pool on one Postgres database. Rows come back as dicts.

    Raises Unreachable where no connection can be had within `wait_s` seconds, Retriable where a statement takes too
    long.
    """

    def __init__(self, url: str, *, size: int = 8, wait_s: float = 5.0) -> None:
        self.url = url
        self._wait_s = wait_s
        self._pool: ConnectionPool[Conn] = ConnectionPool(
            make_conninfo(url, **DEADLINES),
            connection_class=Connection[DictRow],
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
