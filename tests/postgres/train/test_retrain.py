"""A retrain run on the real Postgres, with its real child process: what it is taught, and what follows from it."""

from __future__ import annotations

import threading
from hashlib import sha256
from pathlib import Path

import pytest
from psycopg import errors

from backend import models
from backend.score.prelabel import prelabel
from backend.train.retrain import heal, retrain
from backend.train.train import train
from labelloop.outputs.output import unit_hash
from labelloop.process.settings import Settings
from labelloop.store.database import Conn, Database
from labelloop.store.questions import new_answers
from labelloop.store.tables import jobs, runs, versions
from labelloop.versions.version import Champion
from tests.support.backend_factory import (
    answer,
    digits_loop,
    digits_spec,
    put_into_label_studio,
    scans,
    settings_for,
    submit,
    texts_spec,
)
from tests.support.hops.retraining import NoChild, asked, claimed, quickly, requested, trained
from tests.support.rows import items_of_part


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def test_answers_make_a_champion_and_the_champion_prelabels_waiting_outputs(
    database: Database, settings: Settings
) -> None:
    spec = digits_loop(database)
    with database.transaction() as conn:
        shown = put_into_label_studio(conn, spec.name, 20)
        random_order = conn.execute("select output_id, utility from pool where lane <> 'rule'").fetchall()
    assert prelabel(database, spec.name, settings.models_dir) == 0, "nothing is trained: the pipeline's stay"

    run = trained(database, settings, spec.name)

    assert run.status == "promoted", run
    scores = run.scores
    assert isinstance(scores, dict)
    with database.transaction() as conn:
        champion = versions.champion(conn, spec.name)
        holdout = items_of_part(conn, run.id, "holdout")
    assert champion is not None
    assert champion.id == run.version_id
    assert (champion.epoch, champion.by, champion.trained_on) == (1, "gate", scores["trained_on"])
    assert scores["holdout"] == len(holdout)
    assert scores["champion"]["correct"] == sum(i.champion_label == i.label for i in holdout)
    assert scores["challenger"]["correct"] == sum(i.challenger_label == i.label for i in holdout)
    assert scores["challenger"]["low"] < scores["challenger"]["accuracy"] < scores["challenger"]["high"]
    assert "the pipeline's own outputs" in str(run.reasons)

    assert asked(database, jobs.PRELABEL) == 1
    assert prelabel(database, spec.name, settings.models_dir) == 300
    assert prelabel(database, spec.name, settings.models_dir) == 0, "a second call changes nothing"
    assert asked(database, jobs.PUSH) == 1
    _, truths = scans()
    with database.transaction() as conn:
        waiting = conn.execute(
            "select w.*, o.key from (select output_id, label, confidence, utility, lane, champion, ranker from pool"
            " union all select output_id, label, confidence, utility, lane, champion, ranker from tasks) w"
            " join outputs o on o.id = w.output_id"
        ).fetchall()
    assert len(waiting) == 300
    assert {(w["champion"], w["ranker"]) for w in waiting} == {(champion.id[:12], champion.id[:12])}
    right = [w["label"] == truths[int(w["key"].removeprefix("item-"))] for w in waiting]
    assert sum(right) / len(right) > 0.85
    assert set(shown) <= {w["output_id"] for w in waiting}
    kept = {w["output_id"]: w["utility"] for w in waiting}
    assert all(kept[row["output_id"]] == row["utility"] for row in random_order), "audit and hold-out stay random"
    ruled = [(w["confidence"], w["utility"]) for w in waiting if w["lane"] == "rule"]
    assert max(ruled)[1] < min(ruled)[1], "the surer, the less to learn"


def test_what_judges_a_run_was_never_taught(database: Database, settings: Settings) -> None:
    """Read from the training set of a run, against the hash that decided before any answer was there."""
    spec = digits_loop(database, n=150, answered=150)
    run_id = claimed(database, spec.name)
    outcome = train(database, settings.models_dir, run_id)
    with database.transaction() as conn:
        taught = items_of_part(conn, run_id, "train")
        judged = items_of_part(conn, run_id, "holdout")
    assert len(taught) + len(judged) == 150
    assert outcome["trained_on"] == len(taught)
    assert all(unit_hash("holdout", spec.name, item.key) >= spec.holdout for item in taught)
    assert all(unit_hash("holdout", spec.name, item.key) < spec.holdout for item in judged)
    assert len(judged) > 20

    for part, holdout, constraint in [
        ("train", True, "judged_is_not_taught"),  # a hold-out item as training
        ("train", False, "holdout_is_the_outputs"),  # and a lie about it
    ]:
        with pytest.raises(errors.IntegrityError) as refused, database.transaction() as conn:
            conn.execute(
                "update run_items set part = %s, holdout = %s where run_id = %s and output_id = %s",
                (part, holdout, run_id, judged[0].output_id),
            )
        assert refused.value.diag.constraint_name == constraint


def test_no_copy_no_group_and_no_label_that_left_is_on_the_wrong_side_of_a_run(
    database: Database, settings: Settings
) -> None:
    """Read from run_items: neither near-duplicates nor groups of held-out items teach; labels that left do nothing."""
    spec = texts_spec(holdout=0.4)
    truths = ["spam" if i % 2 else "ham" for i in range(40)]
    texts = [f"{truth} {sha256(str(i).encode()).hexdigest()}" for i, truth in enumerate(truths)]
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": text} for text in texts], truths)
        held, free = (
            [row["key"] for row in conn.execute("select key from outputs where holdout = %s order by key", (is_held,))]
            for is_held in (True, False)
        )
        text, group = "update outputs set data = %s where key = %s", "update outputs set group_key = %s where key = %s"
        conn.execute(text, ('{"text": "A letter, word for word: pay 100 pounds."}', held[0]))
        conn.execute(text, ('{"text": "a letter word for word; pay 1000 pounds"}', free[0]))
        conn.execute(group, ("the same customer", held[1]))
        conn.execute(group, ("the same customer", free[1]))
        labels = {ids[f"item-{i}"]: truth for i, truth in enumerate(truths)}
        answer(conn, spec.name, labels | {ids[held[2]]: "eggs", ids[free[2]]: "eggs"})
    run_id = claimed(database, spec.name)
    outcome = train(database, settings.models_dir, run_id)
    with database.transaction() as conn:
        taught = {item.key for item in items_of_part(conn, run_id, "train")}
        judged = {item.key for item in items_of_part(conn, run_id, "holdout")}
    assert judged == set(held) - {held[2]}
    assert taught.isdisjoint(free[:3])
    notes = " ".join(outcome["notes"])
    assert f"{free[0]} of {held[0]}" in notes
    assert "1 share a group with held-out items" in notes
    assert "2 answers left out, their labels are no longer in the labeling config: eggs (2)" in notes


def test_a_run_sees_the_newest_answer_up_to_its_cut_and_none_after(database: Database, settings: Settings) -> None:
    spec = digits_spec(holdout=0.0)
    images, truths = scans()
    with database.transaction() as conn:
        ids = list(submit(conn, spec, [{"image": image} for image in images[:6]], truths[:6]).values())
        answer(conn, spec.name, {ids[0]: "7", ids[1]: "1", ids[2]: "2", ids[3]: "3"})
        answer(conn, spec.name, {ids[0]: "0", ids[3]: None})
    run_id = claimed(database, spec.name)
    with database.transaction() as conn:
        answer(conn, spec.name, {ids[1]: "9", ids[4]: "4"})
    train(database, settings.models_dir, run_id)
    with database.transaction() as conn:
        assert {i.key: i.label for i in items_of_part(conn, run_id, "train")} == {
            "item-0": "0",
            "item-1": "1",
            "item-2": "2",
        }
        assert new_answers.count(conn, spec.name) == 2


def test_the_same_cut_and_seed_make_the_same_version_and_it_does_not_beat_itself(
    database: Database, settings: Settings
) -> None:
    spec = digits_loop(database)
    first = quickly(database, settings, spec.name)
    second = trained(database, settings, spec.name)
    assert second.version_id == first, "made by another process"
    assert second.status == "refused"
    assert "byte for byte" in str(second.reasons)
    with database.transaction() as conn:
        assert [v.stage for v in versions.list_(conn, spec.name)] == ["champion"]


def test_a_challenger_that_is_not_proven_better_is_refused_but_ranks(database: Database, settings: Settings) -> None:
    spec = digits_loop(database, n=60, answered=30, holdout=0.1)
    run = trained(database, settings, spec.name)
    assert run.status == "refused"
    assert "the gate needs 20: no verdict, refused" in str(run.reasons)
    with database.transaction() as conn:
        assert versions.champion(conn, spec.name) is None
        assert versions.ranker(conn, spec.name) == run.version_id
        assert [v.stage for v in versions.list_(conn, spec.name)] == ["refused"]
    assert prelabel(database, spec.name, settings.models_dir) == 60
    with database.transaction() as conn:
        seen = conn.execute("select distinct champion, ranker from pool").fetchall()
        labels = conn.execute("select count(*) as n from pool p join outputs o on o.id = output_id"
                              " where p.label <> o.label").fetchone()  # fmt: skip
    assert seen == [{"champion": "pipeline", "ranker": run.made[:12]}]
    assert labels == {"n": 0}, "the pipeline's labels are shown until there is a champion"


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([], "0 answers to train on"),
        (["spam"], "1 answers to train on"),
        (["spam"] * 30, "all 30 are 'spam'"),
    ],
)
def test_too_little_to_learn_from_is_a_verdict(
    database: Database, settings: Settings, labels: list[str], reason: str
) -> None:
    spec = texts_spec(holdout=0.0)
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": f"text {i}"} for i in range(30)], ["spam"] * 30)
        answer(conn, spec.name, dict(zip(ids.values(), labels, strict=False)))
    assert reason in train(database, settings.models_dir, claimed(database, spec.name))["refused"]


def test_an_item_that_cannot_be_read_is_left_out_and_named(database: Database, settings: Settings) -> None:
    spec = digits_spec(holdout=0.0)
    images, truths = scans()
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"image": image} for image in [*images[:30], "nothing"]], truths[:31])
        answer(conn, spec.name, {ids[f"item-{i}"]: truths[i] for i in range(31)})
    run_id = claimed(database, spec.name)
    outcome = train(database, settings.models_dir, run_id)
    assert outcome["trained_on"] == 30
    reason = "its field 'image' is not a data: URI with an image"
    assert outcome["notes"] == [f"1 of 31 answers left out, the learner cannot read them: item 'item-30': {reason}"]
    with database.transaction() as conn:
        assert "item-30" not in {i.key for i in items_of_part(conn, run_id, "train")}


def test_a_child_that_dies_fails_the_run_and_leaves_the_champion(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For real: with its own champion's file gone, and with an interpreter that is killed at its start."""
    spec = digits_loop(database)
    first = quickly(database, settings, spec.name)
    file = models.path(settings.models_dir, first)
    kept = file.read_bytes()
    file.unlink()
    with database.transaction() as conn:
        answer(conn, spec.name, {conn.execute("select id from outputs limit 1").fetchone()["id"]: "3"})  # type: ignore[index]
    assert "cannot be read" in str(trained(database, settings, spec.name).error)
    file.write_bytes(kept)
    killer = settings.data_dir / "python"
    killer.write_text("#!/bin/sh\nkill -9 $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(killer))
    run = trained(database, settings, spec.name)
    assert (run.status, run.error) == (
        "failed",
        "the training process was terminated by SIGKILL, perhaps because it ran out of memory",
    )
    with database.transaction() as conn:
        champion = versions.champion(conn, spec.name)
    assert champion is not None
    assert champion.id == first


def test_a_champion_that_changes_while_a_run_begins_is_not_overlooked(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is judged against the old one: with the new one's epoch it would take the new one's place."""
    spec = digits_loop(database, n=60, answered=50)
    requested(database, spec.name)
    champion, seen = versions.champion, []

    def changed_right_after(conn: Conn, loop: str) -> Champion | None:
        found = champion(conn, loop)
        with database.transaction() as other:
            versions.record_promotion(other, loop, epoch=1, version_id=None, previous_id=None, by="b", why="w")
        return found

    monkeypatch.setattr(versions, "champion", changed_right_after)
    monkeypatch.setattr("backend.train.retrain.train_in", lambda *_: {})
    monkeypatch.setattr("backend.train.retrain._apply", lambda _, __, ___, run, epoch, ____: seen.append((run, epoch)))
    retrain(database, settings, spec.name, threading.Event(), NoChild())  # type: ignore[arg-type]
    ((run, epoch),) = seen
    assert (run.champion_id, epoch) == (None, 0)


def test_a_run_that_cannot_be_judged_says_so_and_is_not_tried_again(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = digits_loop(database, n=60, answered=50)
    requested(database, spec.name)
    monkeypatch.setattr("backend.train.retrain.train_in", lambda *_: {"version": "of nothing", "notes": []})
    monkeypatch.setattr("backend.train.retrain.judge", lambda *_: 1 / 0)
    retrain(database, settings, spec.name, threading.Event(), NoChild())  # type: ignore[arg-type]
    heal(database)
    with database.transaction() as conn:
        (run,) = runs.latest(conn, spec.name)
    assert (run.status, run.error) == ("failed", "it cannot be judged: ZeroDivisionError: division by zero")
