"""The head of the record: where it cannot be published, sealing goes on, and somebody is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from console.doctor import Level
from console.doctor.record import record
from labelloop.errors import SettingsError
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.record import publishing
from sync.callbacks.heads import HeadSender
from sync.gauges import Window
from sync.record.seal import Place, Sealer
from tests.support.network.receiver import receiver
from tests.support.recorded import Recorded

SECRET = "whsec_" + "A" * 32


@pytest.fixture
def record_(database: Database, tmp_path: Path) -> Recorded:
    made = Recorded(database, tmp_path / "heads.jsonl")
    made.make_token("one")
    return made


def test_a_file_of_heads_that_cannot_be_written_stops_no_sealing_and_is_told_until_it_can(record_: Recorded) -> None:
    record_.path.mkdir()
    sealer = Sealer(Settings(record_heads=record_.path), record_.database)
    assert sealer.seal() == 1
    record_.make_token("two")
    assert sealer.seal() == 1
    with record_.database.transaction() as conn:
        assert [(one.place, str(record_.path) in one.error) for one in publishing.list_(conn)] == [("file", True)]
        assert record(conn).level is not Level.FAULT, "it may be over in a moment"
        conn.execute("update unpublished_heads set since = since - interval '2 minutes'")
        finding = record(conn)
    assert finding.level is Level.FAULT
    assert "Is a directory" in finding.says
    metrics = {sample.name: sample for metric in Window(record_.database).collect() for sample in metric.samples}
    assert metrics["labelloop_record_unpublished_seconds"].value > 120

    record_.path.rmdir()
    assert sealer.seal() == 0
    assert len(record_.path.read_text().splitlines()) == 1
    with record_.database.transaction() as conn:
        assert publishing.list_(conn) == []
        assert record(conn).level is not Level.FAULT


def test_a_webhook_gets_the_line_of_the_file_signed_and_again_until_it_accepts_it(record_: Recorded) -> None:
    with receiver() as there:
        settings = Settings(
            record_heads=record_.path,
            record_webhook=there.url("/head"),
            record_webhook_secret=SECRET,
            callback_private="127.0.0.1",
        )
        sealer = Sealer(settings, record_.database)
        place = Place(record_.database, publishing.WEBHOOK)
        sender = HeadSender(settings, lambda: sealer.newest, place.say)

        async def turn() -> None:
            sealer.seal()
            sender._not_before = 0.0  # the rest after a failure is over
            await sender.look()
            await sender.finish()

        there.answers["/head"] = 503

        async def turns() -> None:
            await turn()
            with record_.database.transaction() as conn:
                assert [one.place for one in publishing.list_(conn)] == ["webhook"]
            there.answers["/head"] = 204
            await turn()
            await turn()  # nothing new
            record_.make_token("two")
            await turn()

        asyncio.run(turns())
        first, again, second = there.at("/head")
    lines = record_.path.read_text().splitlines()
    assert [first.body, again.body, second.body] == [lines[0], lines[0], lines[1]]
    assert first.id == again.id != second.id
    assert second.verified(SECRET) == json.loads(lines[1])
    with record_.database.transaction() as conn:
        assert publishing.list_(conn) == []


@pytest.mark.parametrize("secret", ["", "secret", "whsec_short", "whsec_no base64 at all, whatever it is"])
def test_a_webhook_without_a_key_is_refused_at_the_start(secret: str) -> None:
    settings = Settings(record_webhook="https://audit.example/heads", record_webhook_secret=secret)
    with pytest.raises(SettingsError, match="LABELLOOP_RECORD_WEBHOOK_SECRET"):
        HeadSender(settings, lambda: None, lambda _: None)
