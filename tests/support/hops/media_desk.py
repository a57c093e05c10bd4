"""A loop of photos and sounds on the real Postgres, with a web server that misbehaves: for the tests of held media."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from labelloop.outputs.output import Output
from labelloop.process.settings import Settings
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs
from sync.media.hold import Report, look_at_loop
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


@pytest.fixture(name="served")
def _served() -> Iterator[Media]:
    with media() as found:
        yield found


@pytest.fixture(name="settings")
def _settings(database: Database) -> Settings:
    return Settings(database_url=database.url, label_studio_url="http://127.0.0.1:8080", fetch_private="127.0.0.0/8")


@pytest.fixture(name="spec")
def _spec(database: Database) -> LoopSpec:
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
