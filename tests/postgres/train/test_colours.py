"""Fetched pictures in colour, for a network that sees colours; and what happens to those that were kept in grey."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend import models
from backend.learners.of_spec import learner_of
from backend.train.replay import train_again
from backend.train.train import train
from labelloop.errors import Unreadable
from labelloop.pictures.kept import _reduced, _uri, with_pictures
from labelloop.process.settings import Settings
from labelloop.selection.features import IN_COLOUR, IN_GREY, PNG, colours, open_image
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, runs
from tests.support.backend_factory import answer, submit
from tests.support.hops.photos import _served as _served
from tests.support.hops.photos import _settings as _settings
from tests.support.hops.photos import spec_of
from tests.support.hops.retraining import claimed
from tests.support.network.picture_server import Pictures, coloured


class Counting(Database):
    """A database that counts its transactions."""

    transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Conn]:
        self.transactions += 1
        with super().transaction() as conn:
            yield conn


COLOURS = "{features: pretrained, size: 32}"
GREY = "{features: pretrained, size: 32, colour: false}"


def squares(served: Pictures, n: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Items with the address of a red or a green square; both are equally bright in grey."""
    data, truths = [], []
    for i in range(n):
        bright = 80 + 2 * i
        red, green = f"{bright + 70}-{bright - 36}-{bright}", f"{bright - 70}-{bright + 36}-{bright}"
        data.append({"photo": {"url": f"{served.url}/{green if i % 2 else red}.png"}})
        truths.append("light" if i % 2 else "dark")  # the two labels of the form
    return data, truths


def answered(database: Database, spec: LoopSpec, data: list[dict[str, Any]], truths: list[str]) -> None:
    with database.transaction() as conn:
        ids = submit(conn, spec, data, truths)
        answer(conn, spec.name, {ids[f"item-{i}"]: truth for i, truth in enumerate(truths)})


def kept(database: Database) -> dict[bytes, bytes]:
    with database.transaction() as conn:
        rows = conn.execute("select address_sha256, png from pictures").fetchall()
    return {bytes(row["address_sha256"]): bytes(row["png"]) for row in rows}


def judged(database: Database, settings: Settings, spec: LoopSpec) -> tuple[Any, dict[str, Any], float]:
    """Train a version; return its run, the outcome, and its accuracy on the held-out answers."""
    run_id = claimed(database, spec.name)
    made = train(database, settings.models_dir, run_id, settings=settings)
    assert "version" in made, made
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=made["version"])
        rows = conn.execute(
            "select label, challenger_label from run_items where part = 'holdout' and run_id = %s", (run_id,)
        ).fetchall()
    assert len(rows) >= 10
    return run_id, made, float(np.mean([row["label"] == row["challenger_label"] for row in rows]))


def test_a_network_learns_from_the_colours_of_fetched_pictures(
    database: Database, settings: Settings, served: Pictures
) -> None:
    data, truths = squares(served, 50)
    spec = spec_of(served.url, params=COLOURS)
    answered(database, spec, data, truths)
    _, made, accuracy = judged(database, settings, spec)
    assert accuracy == 1.0
    assert models.load(settings.models_dir, made["version"]).params["colour"] is True
    assert sum(served.asked.values()) == 50
    again = train(database, settings.models_dir, claimed(database, spec.name), settings=settings)
    assert again["version"] == made["version"]
    assert sum(served.asked.values()) == 50, "each is fetched once"
    assert all(len(png) <= 50_000 for png in kept(database).values())

    in_grey = spec_of(served.url, params=GREY)
    with database.transaction() as conn:
        loops.register(conn, in_grey)
        conn.execute("update retrain_runs set status = 'failed' where status = 'running'")
    _, made, accuracy = judged(database, settings, in_grey)
    assert accuracy < 0.9, "the two colours are equally bright"
    assert "colour" not in models.load(settings.models_dir, made["version"]).params


def test_a_version_that_learned_from_grey_keeps_to_it_when_its_loop_reads_colours(
    database: Database, settings: Settings, served: Pictures
) -> None:
    data, truths = squares(served, 50)
    before, now = spec_of(served.url, params=GREY), spec_of(served.url, params=COLOURS)
    answered(database, before, data, truths)
    run_id, made, _ = judged(database, settings, before)
    old = models.load(settings.models_dir, made["version"])
    rows = kept(database)
    given = with_pictures(database, None, before, data)
    was = old.predict(given)

    with database.transaction() as conn:
        loops.register(conn, now)
    waits = with_pictures(database, None, now, data)
    assert [item["photo.url"] for item in waits] == [item["photo.url"] for item in given], "nothing is fetched here"
    np.testing.assert_array_equal(old.predict(waits).confidences, was.confidences)
    new = learner_of(now)
    with pytest.raises(Unreadable, match="is kept in grey, and was not fetched in colour yet"):
        new.fit(waits, truths, np.random.default_rng(0))

    fetched = with_pictures(database, settings, now, data)
    assert all(item["photo.url"].startswith(PNG + IN_COLOUR) for item in fetched)
    np.testing.assert_array_equal(old.predict(fetched).confidences, was.confidences)
    after = kept(database)
    assert len(after) == 2 * len(rows)
    assert {name: after[name] for name in rows} == rows, "what is kept never changes"
    assert train_again(database, settings.models_dir, run_id, 1)["version"] == made["version"]

    run_id, made, accuracy = judged(database, settings, now)
    assert accuracy == 1.0
    coloured = models.load(settings.models_dir, made["version"])
    assert coloured.params["colour"] is True

    # Back again: the version that learned from colours keeps to them, and nothing is fetched.
    asked = sum(served.asked.values())
    with database.transaction() as conn:
        loops.register(conn, before)
    assert coloured.predict(with_pictures(database, settings, before, data)).labels == truths
    assert train_again(database, settings.models_dir, run_id, 1)["version"] == made["version"]
    assert sum(served.asked.values()) == asked
    with pytest.raises(Unreadable, match="is kept in grey"):
        coloured.predict(with_pictures(database, settings, spec_of(served.url), data))


def test_the_grey_of_a_coloured_picture_is_that_which_was_kept_before() -> None:
    raw = coloured("200-60-90")
    small, large = _reduced(raw, colour=False), _reduced(raw, colour=True)
    grey, seen, both = (_uri(*one) or "" for one in ((None, small), (large, None), (large, small)))
    before, then = colours(grey, 64, fetched=False), colours(seen, 64, fetched=False)
    np.testing.assert_array_equal(colours(both, 64, fetched=False), before)
    np.testing.assert_array_equal(colours(both, 64), colours(seen, 64))
    assert np.abs(before - then).max() <= 1.01 / 255
    assert np.ptp(colours(seen, 64)[32, 32]) > 0.5
    assert np.ptp(then, axis=2).max() == 0
    assert open_image(seen, "RGB").size == open_image(grey).size == (128, 128)
    inside = f"{PNG}base64,{base64.b64encode(raw).decode()}"
    np.testing.assert_array_equal(colours(inside, 64, fetched=False), colours(inside, 64), "its colours stay")


def test_pictures_kept_in_grey_and_in_colour_are_read_at_once(
    database: Database, settings: Settings, served: Pictures
) -> None:
    data, _ = squares(served, 3)
    with_pictures(database, settings, spec_of(served.url, params=GREY), data[:2])
    wanted = with_pictures(database, settings, spec_of(served.url, params=COLOURS), data)
    assert len(kept(database)) == 5
    counting = Counting(database.url)
    with counting:
        found = with_pictures(counting, None, spec_of(served.url, params=COLOURS), data)
    assert counting.transactions == 1
    assert [item["photo.url"] for item in found] == [item["photo.url"] for item in wanted]
    assert ["grey" in item["photo.url"][:200] for item in found] == [True, True, False]


def test_a_loop_of_pixels_keeps_grey(database: Database, settings: Settings, served: Pictures) -> None:
    data, _ = squares(served, 2)
    for params in ("{}", "{features: hog}"):
        spec = spec_of(served.url, params=params)
        with database.transaction() as conn:
            loops.register(conn, spec)
        found = with_pictures(database, settings, spec, data)
        assert [item["photo.url"][:28] for item in found] == [PNG + IN_GREY] * 2
    assert sum(served.asked.values()) == 2
    assert {Image.open(io.BytesIO(png)).mode for png in kept(database).values()} == {"L"}
