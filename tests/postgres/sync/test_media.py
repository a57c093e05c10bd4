"""Outputs whose media no browser can read are held back with their reason, and wait again when they can be read."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from labelloop.errors import SpecError
from labelloop.outputs.output import Output
from labelloop.process.settings import Settings
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.media import holding
from labelloop.store.tables import loops, outputs, pool
from sync.media import hold
from sync.media.hold import Report, look_at_loop
from sync.media.watching import Watch
from sync.push.window import prepare
from tests.support.network.media_server import Media, media

YAML = """feedback_loop:
  trigger: "model_confidence < 0.9"
  labels: [cat, dog]
  holdout: 0
  audit: 0
  learner: none
  queue: {window: 10, strategy: least_confidence, diversity: 0}
"""
FORM = """<View><Image name="i" value="$photo.url"/><Audio name="a" value="$sound"/>
<Choices name="label" toName="i"><Choice value="cat"/><Choice value="dog"/></Choices></View>"""
NOW = threading.Event()


@pytest.fixture
def served() -> Iterator[Media]:
    with media() as found:
        yield found


@pytest.fixture
def settings(database: Database) -> Settings:
    return Settings(database_url=database.url, label_studio_url="http://127.0.0.1:8080", fetch_private="127.0.0.0/8")


@pytest.fixture
def spec(database: Database) -> LoopSpec:
    made = parse("pets", YAML, FORM)
    with database.transaction() as conn:
        loops.register(conn, made)
    return made


def submit(database: Database, spec: LoopSpec, photos: dict[str, str], **data: Any) -> None:
    made = [
        Output(key, {"photo": {"url": url}, **data}, probabilities={"cat": 0.5 + i / 1000, "dog": 0.5 - i / 1000})
        for i, (key, url) in enumerate(photos.items())
    ]
    with database.transaction() as conn:
        outputs.insert(conn, spec.name, [outputs.Row.of(one, lanes.place(one, spec)) for one in made])


def states(database: Database) -> dict[str, tuple[str, str | None]]:
    with database.transaction() as conn:
        rows = conn.execute("select key, state::text as state, state_reason as why from outputs order by key")
        return {row["key"]: (row["state"], row["why"]) for row in rows}


def in_pool(database: Database) -> set[str]:
    with database.transaction() as conn:
        return {row["key"] for row in conn.execute("select key from pool")}


def look(database: Database, settings: Settings, spec: LoopSpec, **how: Any) -> Report:
    return look_at_loop(database, settings, spec, threading.Event(), **how)


def make_due(database: Database) -> None:
    with database.transaction() as conn:
        conn.execute("update media_looks set again_at = now()")
        conn.execute("update media_outputs set again_at = now()")


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
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    at = time.gmtime(time.time() - 57)
    query = f"X-Amz-Date={time.strftime('%Y%m%dT%H%M%SZ', at)}&X-Amz-Expires=60&X-Amz-Signature=a"
    submit(database, spec, {"a": served.at(f"cors/a.png?{query}")}, sound=None)
    assert look(database, settings, spec) == Report(looked_at=1)
    time.sleep(4)
    assert look(database, settings, spec) == Report(looked_at=1, held=1)
    assert "X-Amz" not in str(states(database)["a"][1]), "the signature is not told"


def test_few_requests_at_once_go_to_a_host_and_a_dead_one_costs_little(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {f"s{i}": served.at(f"cors+slow/{i}.png") for i in range(10)}, sound=None)
    look(database, settings, spec)
    assert served.most_at_once == 2
    submit(database, spec, {f"d{i}": f"http://nothing.invalid/{i}.png" for i in range(9)}, sound=None)
    look(database, settings, spec)
    with database.transaction() as conn:
        known = conn.execute("select from media_looks where host = 'nothing.invalid'").fetchall()
    assert 3 <= len(known) <= 4, "after three failures the others of the host are left for later"


def test_a_pass_ends_in_time_and_the_next_goes_on(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {f"s{i}": served.at(f"cors+slow/{i}.png") for i in range(10)}, sound=None)
    report = look(database, settings, spec, limit_s=0.5)
    assert 1 <= report.looked_at < 10
    assert report.looked_at + look(database, settings, spec).looked_at == 10


def test_no_more_than_a_bound_is_held(
    database: Database, settings: Settings, spec: LoopSpec, served: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "MOST_HELD", 3)
    submit(database, spec, {f"p{i}": served.at(f"plain/{i}.png") for i in range(3)}, sound=None)
    assert look(database, settings, spec).held == 3
    submit(database, spec, {"more": served.at("plain/more.png")}, sound=None)
    assert look(database, settings, spec) == Report()
    assert in_pool(database) == {"more"}


def test_a_worker_lets_new_outputs_wait_for_the_first_look_and_no_longer(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {"a": served.at("cors/a.png"), "b": served.at("plain/b.png")}, sound=None)

    def coming(first_look_s: float) -> int:
        window, picks = prepare(database, spec, first_look_s)
        return len(window.chosen(picks, window.places))

    assert coming(20) == 0
    assert coming(0) == 2, "a push by hand does not wait"
    look(database, settings, spec)
    assert coming(20) == 1
    submit(database, spec, {"c": served.at("cors/c.png")}, sound=None)
    with database.transaction() as conn:
        conn.execute("update outputs set received_at = received_at - interval '21 seconds' where key = 'c'")
    assert coming(20) == 2, "without any look it waits no longer"


def test_a_loop_may_switch_the_look_off(database: Database, settings: Settings, served: Media) -> None:
    spec = parse("pets", YAML + "  media: {check: false}\n", FORM)
    with database.transaction() as conn:
        loops.register(conn, spec)
    submit(database, spec, {"a": served.at("plain/a.png")}, sound=None)
    assert look(database, settings, spec) == Report()
    assert not served.seen
    window, picks = prepare(database, spec, 20)
    assert len(window.chosen(picks, window.places)) == 1
    with pytest.raises(SpecError, match=r"media\.chek"):
        parse("pets", YAML + "  media: {chek: false}\n", FORM)


def test_the_new_key_gives_no_loop_a_new_version_of_its_spec() -> None:
    plain = parse("pets", YAML, FORM)
    assert plain.sha256() == plain.model_copy(update={"media": type(plain.media)(check=True)}).sha256()
    assert plain.sha256() != plain.model_copy(update={"media": type(plain.media)(check=False)}).sha256()


def test_the_watch_returns_at_once_and_ends_when_it_is_told(
    database: Database, settings: Settings, spec: LoopSpec, served: Media, caplog: pytest.LogCaptureFixture
) -> None:
    submit(database, spec, {f"h{i}": served.at(f"cors+hang/{i}.png") for i in range(4)}, sound=None)
    submit(database, spec, {"p": served.at("plain/p.png")}, sound=None)
    watch = Watch(settings, database)
    began = time.monotonic()
    asyncio.run(watch.look())
    asyncio.run(watch.look())
    assert time.monotonic() - began < 2
    assert sum(thread.name == "media" for thread in threading.enumerate()) == 1
    watch.stop()
    assert watch._thread is not None
    watch._thread.join(30)
    assert not watch._thread.is_alive()
    with caplog.at_level(logging.WARNING):
        fresh = Watch(replace(settings, fetch_private=""), database)
        assert fresh.look_at_all().held <= 1
    assert not [record for record in caplog.records if record.exc_info]


def test_old_rows_are_deleted_and_a_loop_is_removed_with_its_rows(
    database: Database, settings: Settings, spec: LoopSpec, served: Media
) -> None:
    submit(database, spec, {"a": served.at("plain/a.png"), "b": served.at("cors/b.png")}, sound=None)
    look(database, settings, spec)
    with database.transaction() as conn:
        conn.execute("update outputs set state = 'withdrawn' where key = 'b'")
        pool.remove(conn, conn.execute("select id from outputs where key = 'b'").fetchone()["id"])  # type: ignore[index]
        conn.execute("update media_outputs set looked_at = now() - interval '2 days'")
        holding.delete_old(conn)
        assert len(conn.execute("select from media_outputs").fetchall()) == 1, "the held one stays"
        loops.archive(conn, spec.name, "ada")
    with database.transaction() as conn:
        assert removal.counts(conn, spec.name)["media_outputs"] == 1
        assert removal.remove(conn, spec.name)
