"""The commands for callbacks: callback add, list, remove, test, resume, deliveries, repeat."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from uuid import uuid4

import click

from console.cli.decisions import signed_by
from console.cli.output import print_json, show, to_stderr
from console.cli.wrappers import all_or_one, as_json_too, loop_names, open_database, with_settings
from labelloop.errors import Failed, UsageError
from labelloop.process.settings import Settings
from labelloop.spec.events import USUAL, Event

LAST = 100
"""Deliveries that are listed if no other number is given."""


@click.group()
def callback() -> None:
    """Tell your programs of answers by web requests, signed by Standard Webhooks."""


@callback.command(short_help="Add a receiver and print its secret.")
@click.argument("url")
@all_or_one
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice([event.value for event in Event]),
    help=f"May be repeated  [{' and '.join(USUAL)}]",
)
@signed_by("Name of the person who adds it.", always=False)
@as_json_too
@with_settings
def add(settings: Settings, url: str, loop: str | None, events: tuple[str, ...], by: str | None, as_json: bool) -> None:
    """Send events to URL from now on, and print the secret of its signatures, this one time."""
    from labelloop.store.callbacks import registered
    from sync.callbacks import address

    try:
        address.check(url, address.private(settings))
    except ValueError as exc:
        raise UsageError(f"{url[:200]!r} {_with_hint(str(exc))}") from None
    told = events or tuple(event.value for event in USUAL)
    with open_database(settings) as db:
        if loop is not None:
            loop_names(db, loop)
        with db.transaction() as conn:
            id_, secret = registered.add(conn, loop, url, told, by or os.environ.get("USER"))
    if as_json:
        return print_json({"id": id_, "loop": loop, "url": url, "events": told, "secret": secret})
    click.echo(secret)
    to_stderr(
        f"Callback {id_} of {loop or 'all loops'}: {', '.join(told)}. Copy the secret now: it is not shown "
        f"again. `labelloop callback test {str(id_)[:8]}` sends a first request."
    )


@callback.command("list", short_help="List the receivers and their deliveries.")
@all_or_one
@as_json_too
@with_settings
def list_(settings: Settings, loop: str | None, as_json: bool) -> None:
    """List all callbacks with the number of their pending and dead deliveries, but without their secrets."""
    from labelloop.store.callbacks import registered

    with open_database(settings) as db:
        if loop is not None:
            loop_names(db, loop, archived=True)
        with db.transaction() as conn:
            counts = {row.id: row for row in registered.counts(conn)}
            rows = [
                {
                    "id": one.id,
                    "loop": one.loop or ("all" if not as_json else None),
                    "url": one.url,
                    "events": one.events,
                    "pending": counts[one.id].pending,
                    "dead": counts[one.id].dead,
                    "paused": one.paused_because,
                    "created_at": one.created_at,
                    "created_by": one.created_by,
                }
                for one in registered.list_(conn, loop)
            ]
    show(rows, as_json)


@callback.command(short_help="Remove a receiver with its deliveries.")
@click.argument("id_", metavar="ID")
@with_settings
def remove(settings: Settings, id_: str) -> None:
    """Remove the callback whose id begins with ID. Its deliveries are deleted too, also the pending ones."""
    from labelloop.store.callbacks import registered

    with open_database(settings) as db, db.transaction() as conn:
        one = registered.find(conn, id_)
        lost = registered.remove(conn, one.id)
    to_stderr(f"Callback {one.id} is removed" + (f", with {_deliveries(lost)} not made." if lost else "."))


@callback.command(short_help="Send a test request now.")
@click.argument("id_", metavar="ID")
@with_settings
def test(settings: Settings, id_: str) -> None:
    """Send one signed request of the type `callback.test` to the callback whose id begins with ID; print the answer."""
    from labelloop.store.callbacks import registered
    from sync.callbacks import address, payload
    from sync.callbacks.post import Post, Tried

    with open_database(settings) as db, db.transaction() as conn:
        one = registered.find(conn, id_)
        secret = registered.secret(conn, one.id)
    body = payload.text("callback.test", datetime.now(UTC), {"loop": one.loop, "callback": one.id})

    async def send() -> Tried:
        post = Post(address.private(settings))
        try:
            return await post(one.url, secret, uuid4(), body)
        finally:
            await post.close()

    tried = asyncio.run(send())
    if tried.error is not None:
        raise Failed(f"{one.url} {_with_hint(tried.error)}")
    to_stderr(f"{one.url} answers {tried.status}.")


@callback.command(short_help="Put a paused receiver to work again.")
@click.argument("id_", metavar="ID")
@with_settings
def resume(settings: Settings, id_: str) -> None:
    """Send events again to the callback whose id begins with ID, which was paused because it answered 410 Gone."""
    from labelloop.store.callbacks import registered

    with open_database(settings) as db, db.transaction() as conn:
        one = registered.find(conn, id_)
        if not registered.resume(conn, one.id):
            raise UsageError(f"callback {one.id} is not paused")
    to_stderr(f"Callback {one.id} is at work. `labelloop callback repeat --dead` sends what was given up.")


@callback.command("deliveries", short_help="List deliveries, newest first.")
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option("--limit", default=LAST, show_default=True, type=click.IntRange(1, 100_000), help="List at most so many.")
@as_json_too
@with_settings
def list_deliveries(settings: Settings, dead: bool, limit: int, as_json: bool) -> None:
    """List the newest deliveries with their state, number of tries, and why the last try failed."""
    from labelloop.store.callbacks import deliveries
    from labelloop.store.callbacks.deliveries import DeliveryState

    with open_database(settings) as db, db.transaction() as conn:
        rows = deliveries.list_(conn, [DeliveryState.DEAD] if dead else list(DeliveryState), limit)
    kept = ["id", "event", "loop", "key", "state", "created_at", "tries", "last_status", "last_error"]
    kept += ["callback_id", "next_try_at", "delivered_at"] if as_json else []
    show([{name: getattr(row, name) for name in kept} for row in rows], as_json)


@callback.command(short_help="Send deliveries once more.")
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--dead", is_flag=True, help="All that were given up, except those of paused callbacks.")
@with_settings
def repeat(settings: Settings, id_: str | None, dead: bool) -> None:
    """Send the delivery whose id begins with ID once more, or all dead ones. The worker tries for another 24 hours.

    The receiver gets the same webhook-id and the same text.
    """
    from labelloop.store.callbacks import deliveries

    if dead == (id_ is not None):
        raise UsageError("name one delivery, or all that were given up with --dead")
    with open_database(settings) as db, db.transaction() as conn:
        if id_ is not None:
            to_stderr(f"Delivery {deliveries.repeat(conn, id_)} is sent again.")
        else:
            to_stderr(f"Sent again: {_deliveries(deliveries.repeat_dead(conn))}.")


def _with_hint(problem: str) -> str:
    """Add how an `up` gets the setting, if the problem names it."""
    from sync.callbacks.address import SETTING

    if SETTING not in problem:
        return problem
    return f"{problem}. If `labelloop up` runs already, stop it, and start it again with {SETTING}=HOST labelloop up"


def _deliveries(n: int) -> str:
    return f"{n} deliver{'y' if n == 1 else 'ies'}"


COMMANDS = (callback,)
