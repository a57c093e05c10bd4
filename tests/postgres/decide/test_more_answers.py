"""A refused version that was ahead is judged again once more held-out answers are there; nothing is trained."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.decide.judge import judge
from backend.decide.promote import rollback
from backend.train.due import ask_for_due
from backend.train.retrain import retrain
from backend.train.train import train
from labelloop.process.settings import Settings
from labelloop.spec.gate import GateSpec
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.tables import run_items, runs, verdicts, versions
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import answer, settings_for, submit, texts_spec
from tests.support.hops.retraining import quickly, started
from tests.support.rows import items_of_part

LABELS = ("ham", "spam")
LOOP = "texts"
HELD_OUT = 16
"""Held-out answers among the first 40."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def truth(i: int) -> str:
    return LABELS[(i * 7 // 3) % 2]


def answered(database: Database, start: int, end: int) -> None:
    with database.transaction() as conn:
        ids = {row["key"]: row["id"] for row in conn.execute("select id, key from outputs")}
        answer(conn, LOOP, {ids[f"item-{i}"]: truth(i) for i in range(start, end)})


def scores(run: RetrainRun, *, gain: float = 0.1, upto: int | None = None, epoch: int = 0) -> dict[str, Any]:
    """Return the scores of a verdict on a version that is ahead."""
    upto = run.cut if upto is None else upto
    return {"gain": {"value": gain}, "holdout": HELD_OUT, "answers_upto": upto, "champion_epoch": epoch}


def texts(**gate: Any) -> LoopSpec:
    return texts_spec(holdout=0.4, gate=GateSpec(min_holdout=10, **gate), retrain=Retrain(after=10_000))


def submitted(database: Database, spec: LoopSpec) -> RetrainRun:
    """160 texts, the first 40 of them answered, and a run that has started."""
    with database.transaction() as conn:
        submit(conn, spec, [{"text": f"{truth(i)} {i}"} for i in range(160)], [truth(i) for i in range(160)])
    answered(database, 0, 40)
    return started(database, LOOP)


def refused(database: Database, settings: Settings, *, gain: float = 0.1, **gate: Any) -> RetrainRun:
    """A run whose version was ahead on the first 40 of 160 answers, and was refused; nobody serves but the pipeline."""
    run = submitted(database, texts(**gate))
    version = train(database, settings.models_dir, run.id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run.id, "refused", version_id=version, scores=scores(run, gain=gain))
        found = runs.get(conn, run.id)
        assert len(items_of_part(conn, run.id, "holdout")) == HELD_OUT
    assert found is not None
    return found


def queued(database: Database) -> list[RetrainRun]:
    """The runs that a check requests."""
    ask_for_due(database, datetime.now(UTC), drift=False)
    with database.transaction() as conn:
        return runs.open_runs(conn, LOOP)


def test_more_held_out_answers_judge_it_again_and_promote_it(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    assert queued(database) == [], "nothing is new"
    answered(database, 40, 160)
    (asked,) = queued(database)
    assert queued(database) == [asked], "asked for once"
    assert asked.judges == first.id
    assert asked.why == f"version {first.made[:12]} was ahead by 10.0 points on 16 held-out answers; 47 are new"

    retrain(database, settings, LOOP, threading.Event())  # with a real child process

    with database.transaction() as conn:
        again = runs.get(conn, asked.id)
        champion = versions.champion(conn, LOOP)
        items = {run: {part: items_of_part(conn, run, part) for part in ("train", "holdout")}
                 for run in (first.id, asked.id)}  # fmt: skip
        assert versions.ranker(conn, LOOP) == first.version_id
    assert again is not None
    assert again.status == "promoted", again.reasons
    assert again.evaluation["champion_epoch"] == 0
    assert champion is not None
    assert champion.id == first.version_id
    assert [i.key for i in items[first.id]["train"]] == [i.key for i in items[asked.id]["train"]]
    assert len(items[asked.id]["holdout"]) == again.evaluation["holdout"] == HELD_OUT + 47
    assert queued(database) == [], "it serves now"


def test_new_items_that_it_was_trained_on_a_copy_of_do_not_judge_it(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    with database.transaction() as conn:
        [trained, *_] = items_of_part(conn, first.id, "train")
        [held_out] = conn.execute(
            "select id, key from outputs where holdout and key = any(%s) order by key limit 1",
            [[f"item-{i}" for i in range(60, 160)]],
        ).fetchall()
        conn.execute("update outputs set data = (select data from outputs where key = %s) where id = %s",
                     [trained.key, held_out["id"]])  # fmt: skip
    answered(database, 40, 160)
    (asked,) = queued(database)
    retrain(database, settings, LOOP, threading.Event())
    with database.transaction() as conn:
        again = runs.get(conn, asked.id)
        keys = [item.key for item in items_of_part(conn, asked.id, "holdout")]
    assert again is not None
    assert held_out["key"] not in keys
    assert f"copies or near-duplicates of training items ({held_out['key']} of {trained.key})" in " ".join(
        again.reasons
    )


@pytest.mark.parametrize(
    ("more", "gate", "gain"),
    [(4, {}, 0.1), (120, {}, 0.0), (120, {}, -0.1), (120, {"rule": "exact"}, 0.1), (120, {"min_holdout": 100}, 0.1)],
    ids=["few more answers", "it was level", "it was behind", "the exact test", "too few for a verdict"],
)
def test_no_other_version_is_judged_again(
    database: Database, settings: Settings, more: int, gate: dict[str, Any], gain: float
) -> None:
    gate = {"min_holdout": 10, **gate}
    minimum = gate.pop("min_holdout")
    refused(database, settings, gain=gain, **gate)
    with database.transaction() as conn:
        conn.execute("update loops set spec = jsonb_set(spec, '{gate,min_holdout}', to_jsonb(%s::int))", [minimum])
    answered(database, 40, 40 + more)
    assert queued(database) == []


def test_a_further_verdict_that_fails_is_asked_for_three_times(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    answered(database, 40, 160)
    (asked,) = queued(database)
    assert settings.models_dir is not None
    for file in settings.models_dir.rglob(f"{first.made}*"):
        file.unlink()
    retrain(database, settings, LOOP, threading.Event())
    with database.transaction() as conn:
        again = runs.get(conn, asked.id)
        assert versions.champion(conn, LOOP) is None
    assert again is not None
    assert again.status == "failed"
    for _ in range(2):
        with database.transaction() as conn:
            # The clock was a day ahead; it has gone back since.
            conn.execute("update retrain_runs set requested_at = requested_at - interval '1 day' where judges is null")
        (asked,) = queued(database)
        retrain(database, settings, LOOP, threading.Event())
    assert queued(database) == []


def test_an_answer_that_changed_after_the_verdict_counts_as_it_is_now(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    with database.transaction() as conn:
        [before, *_] = items_of_part(conn, first.id, "holdout")
        [changed] = conn.execute("select id from outputs where key = %s", [before.key]).fetchall()
        other = LABELS[1 - LABELS.index(before.label)]
        answer(conn, LOOP, {changed["id"]: other})
        made = runs.request_again(conn, LOOP, first.id, "a test", seed=0)
        run = runs.claim(conn, LOOP, None)
    assert run is not None
    assert run.id == made
    train(database, settings.models_dir, run.id)
    with database.transaction() as conn:
        after = {item.key: item.label for item in items_of_part(conn, run.id, "holdout")}
        kept = {item.key: item.label for item in items_of_part(conn, first.id, "holdout")}
    assert (after[before.key], kept[before.key]) == (other, before.label), "the first verdict stays on record"


def test_a_version_that_waits_for_a_person_is_not_judged_again(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    answered(database, 40, 160)
    with database.transaction() as conn:
        runs.request_again(conn, LOOP, first.id, "a test", seed=0)
        run = runs.claim(conn, LOOP, None)
        assert run is not None
        runs.finish(conn, run.id, "asking", version_id=first.version_id, scores={"gain": {"value": 0.1}, "holdout": 20})
    assert queued(database) == []


def test_answers_that_cannot_judge_it_do_not_ask_for_another_verdict(database: Database, settings: Settings) -> None:
    """Most of them are copies, say, or have a label that is no longer in the config: they are still no news."""
    refused(database, settings)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set scores = scores || '{\"holdout\": 1}' where scores is not null")
    assert queued(database) == []


def test_after_a_clock_went_back_the_same_answers_judge_it_once(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    answered(database, 40, 160)
    with database.transaction() as conn:
        made = runs.request_again(conn, LOOP, first.id, "a test", seed=0)
        run = runs.claim(conn, LOOP, None)
        assert run is not None
        assert run.id == made
        now = scores(run, upto=run_items.newest_answer(conn, LOOP))
        runs.finish(conn, run.id, "refused", version_id=first.version_id, scores=now)
        conn.execute("update retrain_runs set finished_at = now() - interval '1 year' where id = %s", [run.id])
    assert queued(database) == []


def test_the_newest_version_ranks_after_a_clock_went_back(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    answered(database, 40, 120)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set finished_at = now() + interval '1 day' where id = %s", [first.id])
    run = started(database, LOOP)
    second = train(database, settings.models_dir, run.id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run.id, "refused", version_id=second)
        assert versions.ranker(conn, LOOP) == second


def test_answers_that_arrive_while_it_trains_are_news_to_its_verdict(database: Database, settings: Settings) -> None:
    run = submitted(database, texts())
    outcome = train(database, settings.models_dir, run.id)
    answered(database, 40, 160)
    _, evaluation = judge(database, texts(), run, outcome)
    assert (evaluation["holdout"], evaluation["answers_upto"]) == (HELD_OUT, run.cut)
    with database.transaction() as conn:
        assert len(run_items.held_out_since(conn, LOOP, run.cut)) == 47


def test_a_rollback_is_not_undone_by_an_older_version(database: Database, settings: Settings) -> None:
    """It was ahead of the pipeline; another version served and did harm, so a person went back to the pipeline."""
    first = refused(database, settings)
    answered(database, 40, 80)
    quickly(database, settings, LOOP)
    rollback(database, LOOP, "ann", "it does harm", to="pipeline", models_dir=settings.models_dir)
    answered(database, 80, 160)
    assert queued(database) == []
    with database.transaction() as conn:
        again = runs.request_again(conn, LOOP, first.id, "by a person", seed=0)
    assert again is not None, "a person may ask for it"


def test_what_its_shadow_has_refused_stays_refused(database: Database, settings: Settings) -> None:
    first = refused(database, settings, promotion="shadow")
    with database.transaction() as conn:
        verdicts.record(conn, first.id, "refuse", "gate", "on 50 answers given in shadow: not better")
    answered(database, 40, 160)
    assert queued(database) == []


def test_answers_that_were_withdrawn_and_given_anew_are_news(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    with database.transaction() as conn:
        keys = [item.key for item in items_of_part(conn, first.id, "holdout")]
        ids = {row["id"]: row["key"] for row in conn.execute("select id, key from outputs where key = any(%s)", [keys])}
        for output in ids:
            conn.execute("insert into answers (loop, output_id, reviewers) values (%s, %s, 0)", [LOOP, output])
    assert queued(database) == [], "none is left"
    with database.transaction() as conn:
        answer(conn, LOOP, {output: truth(int(key.removeprefix("item-"))) for output, key in ids.items()})
    (asked,) = queued(database)
    assert asked.why.endswith("on 16 held-out answers; 16 are new")


def test_what_a_person_has_refused_stays_refused(database: Database, settings: Settings) -> None:
    first = refused(database, settings)
    with database.transaction() as conn:
        verdicts.record(conn, first.id, "refuse", "ann", "wrong on invoices")
    answered(database, 40, 160)
    assert queued(database) == []
