"""The actor: the person or program under whose name the record lists the changes of a transaction."""

from __future__ import annotations

from contextvars import ContextVar

from psycopg import Connection, sql

_NOW: ContextVar[str] = ContextVar("actor", default="")


def set_actor(name: str) -> None:
    """Name the actor of all later transactions of this thread; "" for the one that its Database has."""
    _NOW.set(name)


def tell(conn: Connection[object]) -> None:
    """Tell Postgres the actor of this thread, if there is one, until the transaction ends."""
    name = _NOW.get()
    if name:
        with conn.pipeline():  # in one request to Postgres with the begin of the transaction
            conn.execute(sql.SQL("set local labelloop.actor = {}").format(name))


def option(actor: str) -> str:
    """Return what a connection's `options` need so that this is its actor."""
    escaped = actor.replace("\\", "\\\\").replace(" ", "\\ ")
    return f" -c labelloop.actor={escaped}" if actor else ""
