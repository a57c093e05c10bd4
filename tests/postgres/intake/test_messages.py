"""Messages on a real Postgres: the size of a batch changes nothing, and one bad message stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.intake.consuming import Consuming
from sync.intake.messages import Message, settle
from tests.support.data.malformed import body
from tests.support.intake_client import SPEC
from tests.support.ml_backend import series
from tests.support.network.ports import free_address
from tests.support.workers.consumers import keys

Sent = tuple[str, str, str]
"""A loop, a key and a version; the version `{` stands for a malformed message."""
SENT = st.lists(
    st.tuples(st.sampled_from(["pets", "cats", "cows"]), st.sampled_from("ab"), st.sampled_from(["1", "2", "{"])),
    max_size=12,
)


@pytest.fixture(autouse=True)
def _loops(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, SPEC)
        loops.register(conn, SPEC.model_copy(update={"name": "cats"}))


def settled(database: Database, sent: Sequence[Sent], size: int) -> tuple[list[Sent], set[int], list[Message]]:
    """Settle them in batches of this size, under keys of their own: the stored rows, the refused messages, and all."""
    run = uuid4().hex
    messages = [
        Message(loop, b"{" if version == "{" else body(run + key, model_version=version)) for loop, key, version in sent
    ]
    refused: set[int] = set()
    for start in range(0, len(messages), size):
        refused |= {start + number for number in settle(database, messages[start : start + size]).refused}
    with database.transaction() as conn:
        rows = conn.execute(
            "select loop, right(key, 1) as key, model_version from outputs where starts_with(key, %s) order by 1, 2",
            [run],
        ).fetchall()
    return [(row["loop"], row["key"], row["model_version"]) for row in rows], refused, messages


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SENT, st.integers(2, 12), st.integers(0, 12))
def test_the_size_of_batches_and_a_second_delivery_change_nothing(
    database: Database, sent: list[Sent], size: int, again: int
) -> None:
    stored, refused, _ = settled(database, sent, 1)
    *found, messages = settled(database, sent, size)
    assert found == [stored, refused]
    repeated = settle(database, messages[again:])  # as after a consumer was killed before it committed its offset
    assert {again + number for number in repeated.refused} == {number for number in refused if number >= again}
    assert sum(repeated.new.values()) == 0


@pytest.mark.owner
def test_a_message_that_postgres_cannot_store_is_refused_and_stops_no_other(database: Database) -> None:
    with database.transaction() as conn:
        conn.execute(
            """
            create function refuse() returns trigger language plpgsql as
                $$ begin raise exception 'no room for it' using errcode = '22000'; end $$;
            create trigger refuse before insert on outputs for each row when (new.key = 'k5') execute function refuse()
            """
        )
    found = settle(database, [Message("pets", body(f"k{i}")) for i in range(9)])
    assert {number: problem.message for number, problem in found.refused.items()} == {
        5: "Postgres cannot store this value: no room for it\nCONTEXT:  PL/pgSQL function refuse() line 1 at RAISE"
    }
    assert (found.new, found.known) == ({"pets": 8}, {"pets": 0})
    assert len(keys(database)) == 8


def test_the_log_has_the_reason_of_the_first_dead_letter_of_a_batch(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    consuming = Consuming(Settings(), database, None)
    batch = [Message("pets", body("good")), Message("pets", b"{"), Message("cows", body("a"))]
    refused = consuming.settle(batch, lambda _: None)
    assert refused is not None
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [f"dead letter of loop 'pets': {refused[1].message}, and 1 more"]
    caplog.clear()
    assert consuming.settle(batch[:1], lambda _: None) == {}
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_consumer_counts_the_messages_that_it_took_for_prometheus(database: Database) -> None:
    address = free_address()
    own = Consuming(Settings(), database, "pets", address)
    batch = [Message("pets", body("a")), Message("pets", b"{"), Message("pets", body("a"))]
    for _ in range(2):
        assert own.settle(batch, lambda _: None) is not None
    found = series(httpx.get(f"http://{address}/metrics", timeout=60).text)
    counted = {name: found[f"labelloop_intake_outputs_total became={name} loop=pets"] for name in ("new", "known")}
    assert (counted, found["labelloop_messages_total"], found["labelloop_dead_letters_total"]) == (
        {"new": 1, "known": 3}, 6, 2,
    )  # fmt: skip
