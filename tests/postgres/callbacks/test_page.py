"""The page about callbacks: its receiver runs, and its tables name what the code has."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from flask import Flask
from werkzeug.serving import make_server

from labelloop.spec.events import Event
from labelloop.store.callbacks.deliveries import DELAYS_S, KEPT_DAYS
from labelloop.store.database import Database
from sync.callbacks.post import LIMIT_S
from tests.support.hops.callbacks import Desk, send

PAGE = Path(__file__).parents[3] / "docs" / "pipelines" / "callbacks.md"


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/labelloop"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_receiver_of_the_page_takes_a_delivery_once_and_refuses_a_forged_one(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    page: dict[str, Flask] = {"__name__": "receiver"}  # type: ignore[dict-item]
    exec(source, page)
    desk = Desk(database)
    with served(page["app"]) as url:
        _, secret = desk.callback(url)
        monkeypatch.setenv("CALLBACK_SECRET", secret)
        desk.answer(desk.submit("ticket/17"), "dog")
        send(database)
        assert desk.states() == ["delivered"]
        desk.sql("update deliveries set state = 'pending', delivered_at = null, next_try_at = now()")
        send(database)
        assert desk.states() == ["delivered"]
        assert capsys.readouterr().out.count("output.answered ticket/17 dog") == 1
        forged = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        assert httpx.post(url, content=b"{}", headers=forged).status_code == 401


def test_the_page_names_every_event_and_the_true_numbers() -> None:
    text = " ".join(PAGE.read_text().split())
    for event in Event:
        assert f"| `{event}` |" in text
    assert (DELAYS_S, LIMIT_S, KEPT_DAYS) == ((5, 30, 120, 600, 3600, 10_800), 10, 30)
    assert "after 5 s, 30 s, 2 min, 10 min, 1 h, and then every 3 h, for 24 hours" in text
    assert "within 10 seconds" in text
    assert "deleted after 30 days" in text
