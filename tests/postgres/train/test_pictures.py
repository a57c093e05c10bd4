"""A loop whose pictures lie behind addresses, on a real Postgres, with a real web server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from backend.decide.promote import promote
from backend.learners import make
from backend.score.prelabel import prelabel
from backend.train.due import ask_for_due
from backend.train.replay import train_again
from backend.train.train import train
from labelloop.errors import Unreadable, UsageError
from labelloop.pictures.kept import with_pictures
from labelloop.process.settings import Settings
from labelloop.selection.features import Unfetched
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops, runs
from tests.support.backend_factory import answer, submit
from tests.support.hops.photos import FORM, spec_of
from tests.support.hops.photos import _served as _served
from tests.support.hops.photos import _settings as _settings
from tests.support.hops.retraining import claimed
from tests.support.network.picture_server import Pictures
from tests.support.rows import items_of_part


def photos(served: Pictures, n: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Items with the address of a picture, half of them dark, half of them light."""
    shades = [i if i % 2 else 150 + i for i in range(n)]
    data = [{"photo": {"url": f"{served.url}/{shade}.jpg"}} for shade in shades]
    return data, ["dark" if shade < 100 else "light" for shade in shades]


def test_a_run_learns_from_fetched_pictures_fetches_each_once_and_leaves_out_what_is_gone(
    database: Database, settings: Settings, served: Pictures
) -> None:
    spec = spec_of(served.url)
    data, truths = photos(served, 60)
    gone = {"photo": {"url": f"{served.url}/gone.png"}}
    with database.transaction() as conn:
        ids = submit(conn, spec, [*data, gone], [*truths, "dark"])
        answer(
            conn,
            spec.name,
            {ids[f"item-{i}"]: truth for i, truth in enumerate([*truths[:40], "dark"])} | {ids["item-60"]: "dark"},
        )
    run_id = claimed(database, spec.name)
    outcome = train(database, settings.models_dir, run_id, settings=settings)
    assert "version" in outcome, outcome
    asked = sum(served.asked.values())
    said = " ".join(outcome["notes"])
    if "item-60" in said:  # not held out
        assert "'photo.url' cannot be fetched: has the status 404" in said
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=outcome["version"])
        judged = conn.execute("select label, challenger_label from run_items where part = 'holdout'").fetchall()
    assert all(row["label"] == row["challenger_label"] for row in judged if row["challenger_label"])
    assert len(judged) > 3

    again = train(database, settings.models_dir, claimed(database, spec.name), settings=settings)
    assert again["version"] == outcome["version"], "the same pictures make the same version"
    assert sum(served.asked.values()) - asked <= 1, "only the one that is gone is asked for again"
    assert train_again(database, settings.models_dir, run_id, 1)["version"] == outcome["version"]

    promote(database, spec.name, outcome["version"], "a test", "to see", models_dir=settings.models_dir)
    assert prelabel(database, spec.name, settings.models_dir, settings=settings) > 0
    with database.transaction() as conn:
        rows = conn.execute("select o.key, p.label from pool p join outputs o on o.id = p.output_id").fetchall()
    waiting = {row["key"]: row["label"] for row in rows if row["key"] != "item-60"}
    assert waiting == {key: truths[int(key.removeprefix("item-"))] for key in waiting}
    assert waiting


def test_a_run_that_judges_again_sees_the_pictures_too(
    database: Database, settings: Settings, served: Pictures
) -> None:
    spec = spec_of(served.url)
    data, truths = photos(served, 40)
    with database.transaction() as conn:
        ids = submit(conn, spec, data, truths)
        answer(conn, spec.name, {ids[f"item-{i}"]: truth for i, truth in enumerate(truths)})
    first = claimed(database, spec.name)
    made = train(database, settings.models_dir, first, settings=settings)
    with database.transaction() as conn:
        runs.finish(conn, first, "refused", version_id=made["version"], scores={})
        run = runs.get(conn, first)
        assert run is not None
        again = runs.request_again(conn, run.loop, run.id, "a test", seed=run.seed)
        assert again is not None
        assert runs.claim(conn, spec.name, None) is not None
    train(database, settings.models_dir, again, settings=settings)
    with database.transaction() as conn:
        said = [
            [(row.key, row.challenger_label) for row in items_of_part(conn, one, "holdout")] for one in (first, again)
        ]
    assert said[0] == said[1]
    assert all(label for _, label in said[0])


def test_a_click_never_waits_for_a_picture(database: Database, settings: Settings, served: Pictures) -> None:
    spec = spec_of(served.url)
    data, _ = photos(served, 4)
    with database.transaction() as conn:
        loops.register(conn, spec)
    without = with_pictures(database, None, spec, data)
    assert all(isinstance(item["photo.url"], Unfetched) for item in without)
    assert not served.asked
    with_pictures(database, settings, spec, data)
    assert [item["photo.url"][:35] for item in with_pictures(database, None, spec, data)] == [
        "data:image/png;fetched=grey;base64,"
    ] * 4


def test_a_host_that_is_down_is_not_asked_for_each_of_its_pictures(
    database: Database, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    spec = spec_of("http://127.0.0.1:1/")
    found = with_pictures(
        database, settings, spec, [{"photo": {"url": f"http://127.0.0.1:1/{i}.png"}} for i in range(100)]
    )
    whys = [item["photo.url"].why for item in found]
    assert whys[0].startswith("cannot be fetched: cannot be reached")
    assert whys[-1] == "was not fetched: 3 others of 127.0.0.1:1 failed"
    assert "100 of 100 pictures were not fetched, the first: http://127.0.0.1:1/0.png" in caplog.text


def test_an_address_that_the_loop_does_not_name_is_left_out_with_the_reason(
    database: Database, settings: Settings, served: Pictures
) -> None:
    spec = spec_of("https://photos.example/")
    data, _ = photos(served, 2)
    assert with_pictures(database, settings, spec, data) == data
    assert not served.asked
    with pytest.raises(Unreadable, match=r"learner\.fetch in loop.yaml lists the allowed ones"):
        make("images", {"field": "photo.url"}).check(data)


def test_a_loop_without_a_learner_never_starts_a_run(database: Database, settings: Settings) -> None:
    yaml = 'feedback_loop:\n  trigger: "model_confidence < 0.9"\n  retrain: {after: 1, every: 1m}\n'
    spec = parse("photos", yaml, FORM)
    assert spec.learner.name == "none"
    with database.transaction() as conn:
        ids = submit(
            conn, spec, [{"photo": {"url": f"https://x.example/{i}.jpg"}} for i in range(4)], ["dark", "light"] * 2
        )
        answer(conn, spec.name, {ids[f"item-{i}"]: "dark" for i in range(4)})
        jobs.ask_for_more(conn, spec)
    ask_for_due(database, datetime.now(UTC))
    with database.transaction() as conn:
        assert runs.latest(conn, spec.name) == []
    run_id = claimed(database, spec.name)  # asked for while the loop had a learner
    with pytest.raises(UsageError, match="loop photos has no learner"):
        train(database, settings.models_dir, run_id)
