"""Deliveries are sent at least once, signed, without waiting for each other; and given up after 24 hours."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from labelloop.errors import UsageError
from labelloop.process.settings import Settings
from labelloop.store.callbacks import deliveries, registered
from labelloop.store.database import Database
from labelloop.store.tables import versions
from sync.callbacks.send import Sender
from tests.support.hops.callbacks import EVERYTHING, Desk, send
from tests.support.intake_client import URL, Intake
from tests.support.network.receiver import Receiver, receiver


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def answered(desk: Desk, n: int = 1) -> None:
    for i in range(n):
        desk.answer(desk.submit(f"key {i}"), "dog")


def test_a_receiver_verifies_each_event_with_the_package_of_standard_webhooks(desk: Desk, there: Receiver) -> None:
    id_, secret = desk.callback(there.url("/200"), EVERYTHING)
    output = desk.submit("ticket/ü")
    desk.answer(output, "dog")
    with desk.database.transaction() as conn:
        versions.record_promotion(conn, "pets", epoch=1, version_id=None, previous_id=None, by="ada", why="a test")
    send(desk.database)
    events = {one.verified(secret)["type"]: one.verified(secret) for one in there.arrived}
    assert set(events) == {"output.answered", "task.completed", "version.promoted"}
    assert all(one.headers["content-type"] == "application/json" for one in there.arrived)
    answer = events["output.answered"]["data"]
    assert (answer["loop"], answer["key"], answer["id"]) == ("pets", "ticket/ü", str(output))
    assert (answer["state"], answer["label"], answer["model_label"]) == ("answered", "dog", "cat")
    assert (answer["approval"], answer["correction"], answer["agreement"], answer["reviewers"]) == (False, "dog", 1, 1)
    task = events["task.completed"]["data"]
    assert (task["key"], task["id"], task["task"], task["annotators"]) == ("ticket/ü", str(output), 1, 1)
    assert events["version.promoted"]["data"]["by"] == "ada"
    assert desk.states() == ["delivered"] * 3
    send(desk.database)
    assert len(there.arrived) == 3
    with desk.database.transaction() as conn:
        assert registered.find(conn, str(id_)[:8]).events == EVERYTHING


def test_the_data_of_an_answer_is_what_the_status_of_the_output_says(desk: Desk, there: Receiver) -> None:
    _, secret = desk.callback(there.url("/200"))
    desk.answer(desk.submit("a"), "dog")
    send(desk.database)
    intake = Intake(desk.database, desk.spec)
    assert there.arrived[0].verified(secret)["data"] == intake.get(f"{URL}/a").json


def test_500_for_ever_is_tried_with_longer_pauses_for_24_hours_and_then_dead(desk: Desk, there: Receiver) -> None:
    _, secret = desk.callback(there.url("/500"))
    answered(desk)
    waits, expected = [], iter([5, 30, 120, 600, 3600, 10_800, 10_800])
    for _ in range(30):
        (before,) = desk.sql("select clock_timestamp() as at")
        send(desk.database)
        (row,) = desk.sql(
            "select *, extract(epoch from next_try_at - %s)::float8 as since_before,"
            " extract(epoch from next_try_at - clock_timestamp())::float8 as s from deliveries",
            before["at"],
        )
        if row["state"] == "dead":
            break
        wait = next(expected, None)
        assert wait is None or row["s"] <= wait <= row["since_before"], "the failure was between the two readings"
        waits.append(row["s"])
        desk.later(row["s"] / 3600 + 1e-6)
    assert next(expected, None) is None
    assert sum(waits) == pytest.approx(86_400, abs=60)
    assert (row["tries"], row["last_status"], row["last_error"]) == (len(waits) + 1, 500, "answers 500")
    desk.later(1000)
    send(desk.database)
    assert len(there.arrived) == row["tries"], "a dead delivery is not sent"

    there.answers["/500"] = 200
    with desk.database.transaction() as conn:
        assert deliveries.repeat(conn, str(row["id"])[:13]) == row["id"]
    send(desk.database)
    assert desk.states() == ["delivered"]
    assert {one.id for one in there.arrived} == {str(row["id"])}
    assert {one.body for one in there.arrived} == {there.arrived[0].body}
    assert there.arrived[-1].verified(secret)["type"] == "output.answered"


def test_deliveries_as_old_as_a_dead_one_die_with_it_and_can_all_be_repeated(desk: Desk, there: Receiver) -> None:
    desk.callback(there.url("/500"))
    answered(desk, 3)
    desk.later(24)
    desk.answer(desk.submit("young"), "dog")
    send(desk.database)
    assert desk.states() == ["dead", "dead", "dead", "pending"]
    there.answers["/500"] = 204
    with desk.database.transaction() as conn:
        assert deliveries.repeat_dead(conn) == 3
        with pytest.raises(UsageError, match="is pending: the worker sends it by itself"):
            deliveries.repeat(conn, str(conn.execute("select id from deliveries limit 1").fetchone()["id"]))  # type: ignore[index]
    send(desk.database)
    assert desk.states() == ["delivered"] * 4


def test_a_redirect_is_not_followed(desk: Desk, there: Receiver) -> None:
    there.headers["Location"] = there.url("/200")
    desk.callback(there.url("/307"))
    answered(desk)
    send(desk.database)
    assert [one.path for one in there.arrived] == ["/307"]
    (row,) = desk.sql("select state::text, last_status, last_error from deliveries")
    assert (row["state"], row["last_status"]) == ("pending", 307)
    assert f"redirects (307) to '{there.url('/200')}': redirects are not followed" in row["last_error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_an_address_that_is_private_at_the_time_of_sending_is_refused(desk: Desk, there: Receiver, host: str) -> None:
    desk.callback(f"http://{host}:{there.port}/200")
    answered(desk)
    send(desk.database, private="")
    assert there.arrived == []
    (row,) = desk.sql("select state::text, last_error from deliveries")
    assert row["state"] == "pending"
    assert "leads to the private address" in row["last_error"]
    assert "LABELLOOP_CALLBACK_PRIVATE" in row["last_error"]


def test_410_kills_what_is_pending_and_pauses_the_callback_until_it_is_resumed(desk: Desk, there: Receiver) -> None:
    id_, _ = desk.callback(there.url("/410"))
    answered(desk, 3)
    send(desk.database)
    assert len(there.arrived) == 1
    assert desk.states() == ["dead"] * 3
    desk.answer(desk.submit("unheard"), "cat")
    assert len(desk.states()) == 3, "nothing is recorded for a paused callback"
    with desk.database.transaction() as conn:
        assert deliveries.repeat_dead(conn) == 0
        assert registered.resume(conn, id_)
        assert deliveries.repeat_dead(conn, id_) == 3
    there.answers["/410"] = 200
    send(desk.database)
    assert desk.states() == ["delivered"] * 3


def test_retry_after_is_respected(desk: Desk, there: Receiver) -> None:
    there.headers["Retry-After"] = "1800"
    desk.callback(there.url("/429"))
    answered(desk)
    send(desk.database)
    (row,) = desk.sql("select extract(epoch from next_try_at - clock_timestamp())::float8 as s from deliveries")
    assert 1780 < row["s"] < 1801


def test_receivers_that_never_answer_delay_no_other(desk: Desk, there: Receiver) -> None:
    for _ in range(10):
        desk.callback(there.url("/held"))
    desk.callback(there.url("/trickle"))
    desk.callback(there.url("/200"))
    answered(desk, 20)

    async def run() -> float:
        sender = Sender(Settings(callback_private="127.0.0.1"), desk.database)
        began = time.monotonic()
        await sender.look()
        while len(there.at("/200")) < 20 and time.monotonic() < began + 9:
            await asyncio.sleep(0.02)
            await sender.look()
        took_s = time.monotonic() - began
        there.open.set()
        await sender.finish()
        return took_s

    took_s = asyncio.run(run())
    assert len(there.at("/200")) == 20
    assert took_s < 8, "less than the time that one silent receiver may take"
    assert len(there.at("/held")) >= 10


def test_two_workers_send_each_delivery_once(desk: Desk, there: Receiver) -> None:
    for _ in range(3):
        desk.callback(there.url("/200"))
    answered(desk, 15)

    async def run() -> None:
        senders = [Sender(Settings(callback_private="127.0.0.1"), desk.database) for _ in range(2)]
        for _ in range(5):
            await asyncio.gather(*(sender.look() for sender in senders))
        await asyncio.gather(*(sender.finish() for sender in senders))

    asyncio.run(run())
    assert Counter(one.id for one in there.arrived) == {
        str(row["id"]): 1 for row in desk.sql("select id from deliveries")
    }
    assert len(there.arrived) == 45


def test_a_delivery_that_cannot_be_written_holds_up_no_other(desk: Desk, there: Receiver) -> None:
    desk.callback(there.url("/200"))
    answered(desk, 2)
    desk.sql(
        "update deliveries set fact = fact - 'state' where id = (select id from deliveries order by created_at limit 1)"
    )
    send(desk.database)
    send(desk.database)
    rows = desk.sql("select state::text, last_error from deliveries order by created_at")
    assert [row["state"] for row in rows] == ["pending", "delivered"]
    assert "labelloop cannot write the body: KeyError" in rows[0]["last_error"]
    assert [json.loads(one.body)["data"]["key"] for one in there.arrived] == ["key 1"]


def test_rows_that_were_delivered_long_ago_are_deleted_and_dead_ones_stay(desk: Desk, there: Receiver) -> None:
    desk.callback(there.url("/200"))
    answered(desk, 2)
    send(desk.database)
    desk.sql("update deliveries set delivered_at = now() - interval '31 days' where fact ->> 'key' = 'key 0'")
    desk.sql("update deliveries set state = 'dead', delivered_at = null where fact ->> 'key' = 'key 1'")
    with desk.database.transaction() as conn:
        assert deliveries.delete_old(conn) == 1
    assert desk.states() == ["dead"]
