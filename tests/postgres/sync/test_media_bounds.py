"""The look at media is bounded: few requests, little time, few held outputs; and a worker waits for it only briefly."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace

import pytest

from labelloop.errors import SpecError
from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.media import holding
from labelloop.store.tables import loops, pool
from sync.media import hold
from sync.media.hold import Report
from sync.media.watching import Watch
from sync.push.window import prepare
from tests.support.hops.media_desk import FORM, YAML, in_pool, look, submit
from tests.support.hops.media_desk import _served as _served
from tests.support.hops.media_desk import _settings as _settings
from tests.support.hops.media_desk import _spec as _spec
from tests.support.network.media_server import Media


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
    assert time.monotonic() - began < 5, "less than one silent host takes"
    assert sum(thread.name == "media" for thread in threading.enumerate()) == 1
    watch.stop()
    assert watch._thread is not None
    watch._thread.join(30)
    assert not watch._thread.is_alive()
    with caplog.at_level(logging.WARNING):
        fresh = Watch(replace(settings, fetch_private=""), database)
        assert fresh.look_at_all().held <= 1
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.owner
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
