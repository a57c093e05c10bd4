"""Outputs whose media no browser can read are held back with their reason, and wait again when they can be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest

from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.media import holding
from sync.media.hold import Report
from tests.support.hops.media_desk import _served as _served
from tests.support.hops.media_desk import _settings as _settings
from tests.support.hops.media_desk import _spec as _spec
from tests.support.hops.media_desk import in_pool, look, make_due, states, submit
from tests.support.network.media_server import Media


def test_what_cannot_be_read_is_held_with_its_reason_and_the_rest_goes_on(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    ways = ["cors/a.png", "plain/a.png", "cors+404/a.png", "cors+html/a.png", "cors+503/a.png", "cors/a.big"]
    submit(database, spec, {way: served.at(way) for way in ways}, sound=None)
    assert look(database, settings, spec) == Report(looked_at=6, held=3)
    found = states(database)
    assert {key for key, (state, _) in found.items() if state == "quarantined"} == {
        "plain/a.png",
        "cors+404/a.png",
        "cors+html/a.png",
    }
    assert found["cors+404/a.png"][1] == (
        f"Image: {served.at('cors+404/a.png')} does not exist: the server answers 404"
    )
    assert in_pool(database) == {"cors/a.png", "cors+503/a.png", "cors/a.big"}, "a server in trouble is not blamed"
    with database.transaction() as conn:
        assert holding.held(conn, spec.name) == 3
        assert {(one.code, one.n) for one in holding.why_held(conn, spec.name)} == {
            ("cors", 1),
            ("missing", 1),
            ("type", 1),
        }
        assert not conn.execute("select from batch_items").fetchall()
        assert not conn.execute("select from batches where state in ('intent', 'sending')").fetchall()
    asked = served.asked.total()
    assert look(database, settings, spec) == Report(), "what was found is remembered"
    assert served.asked.total() == asked


def test_one_unreadable_sound_holds_the_whole_output(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {"a": served.at("cors/a.png")}, sound=served.at("cors/a.aiff"))
    assert look(database, settings, spec).held == 1
    assert "Audio: " in str(states(database)["a"][1])
    assert "AIFF" in str(states(database)["a"][1])


def test_held_outputs_wait_again_with_their_utility_when_their_media_can_be_read(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {"a": served.at("plain/a.png"), "b": served.at("cors+404/b.png")}, sound=None)
    with database.transaction() as conn:
        before = {row["key"]: row["utility"] for row in conn.execute("select key, utility from pool")}
    assert look(database, settings, spec).held == 2
    make_due(database)
    assert look(database, settings, spec) == Report(looked_at=2), "still unreadable: it stays held"
    with database.transaction() as conn:
        tries = conn.execute("select tries from media_looks").fetchall()
        assert [row["tries"] for row in tries] == [2, 2]
    served.mended = True
    make_due(database)
    assert look(database, settings, spec) == Report(looked_at=2, released=2)
    assert {state for state, _ in states(database).values()} == {"waiting"}
    with database.transaction() as conn:
        assert {row["key"]: row["utility"] for row in conn.execute("select key, utility from pool")} == before
        assert holding.held(conn, spec.name) == 0
        asked = {row["task_name"] for row in conn.execute("select task_name from procrastinate_jobs")}
        assert {"sync.push", "backend.prelabel"} <= asked


def test_a_mended_server_frees_all_that_it_had_held(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {f"p{i}": served.at(f"plain/{i}.png") for i in range(8)}, sound=None)
    assert look(database, settings, spec).held == 8
    served.mended = True
    with database.transaction() as conn:  # only one of them is due by its time
        conn.execute(
            "update media_outputs set again_at = now() where output_id = (select id from outputs where key = 'p3')"
        )
        conn.execute("update media_looks set again_at = now()")
    assert look(database, settings, spec).released == 1
    assert look(database, settings, spec).released == 7


def test_an_answer_to_a_held_output_counts_and_it_does_not_wait_again(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {"a": served.at("plain/a.png")}, sound=None)
    look(database, settings, spec)
    with database.transaction() as conn:
        conn.execute("update outputs set state = 'answered'")
    served.mended = True
    make_due(database)
    assert look(database, settings, spec).released == 0
    assert states(database)["a"][0] == "answered"
    assert not in_pool(database)


def test_a_signature_that_expires_while_it_waits_is_looked_at_again(
    database: Database, settings: Settings, spec: LoopSpec, served: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = f"X-Amz-Date={datetime.now(UTC):%Y%m%dT%H%M%SZ}&X-Amz-Expires=60&X-Amz-Signature=a"
    submit(database, spec, {"a": served.at(f"cors/a.png?{query}")}, sound=None)
    assert look(database, settings, spec) == Report(looked_at=1)
    with database.transaction() as conn:
        for table in ("media_looks", "media_outputs"):
            (row,) = conn.execute(f"select again_at - looked_at as wait from {table}").fetchall()
            assert timedelta() < row["wait"] <= timedelta(seconds=60), f"{table}: it is due when the signature expires"
    monkeypatch.setattr("labelloop.pictures.media.look.datetime", InTwoMinutes)
    make_due(database)
    assert look(database, settings, spec) == Report(looked_at=1, held=1)
    assert "X-Amz" not in str(states(database)["a"][1]), "the signature is not told"


class InTwoMinutes(datetime):
    """The clock, two minutes on."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(minutes=2)
