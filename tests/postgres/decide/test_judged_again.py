"""A version that passed the gate while the champion changed: judged again by itself, each verdict on record."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest

from backend.decide.promote import promote, refuse
from backend.train.retrain import _apply, heal, retrain
from backend.train.train import train
from labelloop.process.settings import Settings
from labelloop.spec.gate import GateSpec
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.questions import new_answers
from labelloop.store.tables import jobs, loops, runs, versions
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import answer, settings_for, submit, texts_spec
from tests.support.hops.retraining import quickly, started
from tests.support.rows import items_of_part

LABELS = ("ham", "spam")
LOOP = "texts"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def truth(i: int) -> str:
    return LABELS[(i * 7 // 3) % 2]


def answered(database: Database, start: int, end: int, *, wrongly: bool = False) -> None:
    with database.transaction() as conn:
        ids = {row["key"]: row["id"] for row in conn.execute("select id, key from outputs")}
        said = {i: LABELS[1 - LABELS.index(truth(i))] if wrongly else truth(i) for i in range(start, end)}
        answer(conn, LOOP, {ids[f"item-{i}"]: label for i, label in said.items()})


def loop_with_a_bad_version(
    database: Database, settings: Settings, promotion: Literal["auto", "ask"]
) -> tuple[LoopSpec, str]:
    """Texts that are easily told apart, 60 of 120 answered, and a version that was taught the opposite; its id."""
    gate = GateSpec(promotion=promotion, min_holdout=10)
    spec = texts_spec(holdout=0.4, gate=gate, retrain=Retrain(search=False, after=10_000))
    with database.transaction() as conn:
        submit(conn, spec, [{"text": f"{truth(i)} {i}"} for i in range(120)], [truth(i) for i in range(120)])
    answered(database, 0, 30, wrongly=True)
    run = started(database, LOOP)
    bad = train(database, settings.models_dir, run.id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run.id, "refused", version_id=bad)
    answered(database, 0, 60)
    return spec, bad


def judged(database: Database, settings: Settings, *, meanwhile: str | None = None) -> RetrainRun:
    """A run that trains; somebody promotes the version `meanwhile` after its cut. Its row."""
    with database.transaction() as conn:
        runs.request(conn, LOOP, "a test")
    return worked(database, settings, meanwhile=meanwhile)


def row_of(database: Database, run_id: UUID) -> RetrainRun:
    with database.transaction() as conn:
        found = runs.get(conn, run_id)
    assert found is not None
    return found


def again_of(database: Database, run: RetrainRun) -> list[RetrainRun]:
    with database.transaction() as conn:
        return [one for one in runs.latest(conn, LOOP) if one.judges == run.id]


def worked(database: Database, settings: Settings, *, meanwhile: str | None = None) -> RetrainRun:
    """Run the next queued run as the worker does, without its child process; return the run's row."""
    with database.transaction() as conn:
        spec, epoch, champion = loops.get(conn, LOOP), versions.epoch(conn, LOOP), versions.champion(conn, LOOP)
        run = runs.claim(conn, LOOP, None if champion is None else champion.id)
    assert spec is not None
    assert run is not None
    outcome = train(database, settings.models_dir, run.id)
    if meanwhile is not None:
        promote(database, LOOP, meanwhile, "ann", "for a moment", models_dir=settings.models_dir)
    _apply(database, settings, spec, run, epoch, outcome)
    return row_of(database, run.id)


def stage_of(database: Database, version_id: str) -> str:
    with database.transaction() as conn:
        found = versions.get(conn, version_id)
    assert found is not None
    return str(found.stage)


def test_what_asked_a_person_asks_again_once_it_passed_against_the_new_champion(
    database: Database, settings: Settings
) -> None:
    _, bad = loop_with_a_bad_version(database, settings, "ask")
    first = judged(database, settings)
    assert first.status == "asking", first.reasons
    promote(database, LOOP, bad, "ann", "by mistake", models_dir=settings.models_dir)
    closed = row_of(database, first.id)
    assert (closed.status, closed.reasons[0]) == (
        "refused",
        "it was judged against pipeline, which no longer serves: it is judged again",
    )
    (queued,) = again_of(database, first)
    assert queued.why == f"run {str(first.id)[:8]} passed the gate against pipeline; {bad[:12]} serves now"
    with database.transaction() as conn:
        assert conn.execute("select from procrastinate_jobs where task_name = %s", (jobs.RETRAIN,)).rowcount == 1

    retrain(database, settings, LOOP, threading.Event())  # with a real child process

    (second,) = again_of(database, first)
    assert second.status == "asking", second.reasons
    assert (second.version_id, second.champion_id) == (first.version_id, bad)
    assert second.feedback_upto == first.feedback_upto
    with database.transaction() as conn:
        before, after = (items_of_part(conn, run.id, "holdout") for run in (first, second))
        taught = [items_of_part(conn, run.id, "train") for run in (first, second)]
        assert versions.ranker(conn, LOOP) == first.version_id
    kept = ("key", "answer_seq", "label", "challenger_label", "challenger_confidence")
    assert [[getattr(row, k) for k in kept] for row in after] == [[getattr(row, k) for k in kept] for row in before]
    assert sum(row.champion_label == row.label for row in after) == second.evaluation["champion"]["correct"]
    assert second.evaluation["champion"]["correct"] < first.evaluation["champion"]["correct"]
    assert row_of(database, first.id).scores == first.scores, "the first verdict stays on record"
    assert [row.key for row in taught[0]] == [row.key for row in taught[1]], "so that a replay can teach it again"
    assert stage_of(database, first.made) == "challenger"
    promote(database, LOOP, first.made, "ann", "good", models_dir=settings.models_dir)
    assert row_of(database, second.id).status == "promoted"
    assert len(again_of(database, second)) == 0, "the version that serves is not judged again"


def test_a_run_whose_champion_changed_while_it_trained_is_judged_again_and_promoted(
    database: Database, settings: Settings
) -> None:
    _, bad = loop_with_a_bad_version(database, settings, "auto")
    first = judged(database, settings, meanwhile=bad)
    assert first.status == "refused"
    assert first.reasons[0] == "it passed the gate, but the champion changed meanwhile: it is judged again"
    worked(database, settings)
    (second,) = again_of(database, first)
    assert second.status == "promoted", second.reasons
    with database.transaction() as conn:
        champion = versions.champion(conn, LOOP)
        assert [p.by for p in versions.promotions(conn, LOOP)] == ["gate", "ann"]
    assert champion is not None
    assert champion.id == first.version_id


def test_a_version_that_is_not_better_than_the_new_champion_ends_as_refused(
    database: Database, settings: Settings
) -> None:
    loop_with_a_bad_version(database, settings, "ask")
    first = judged(database, settings)
    answered(database, 60, 120)
    good = quickly(database, settings, LOOP)
    worked(database, settings)
    (second,) = again_of(database, first)
    assert (second.status, second.champion_id) == ("refused", good)
    assert "not better: refused" in second.reasons[0]
    assert stage_of(database, first.made) == "refused"
    with database.transaction() as conn:
        assert versions.ranker(conn, LOOP) == good, "the newest that was trained, not the newest that was judged"


def test_it_waits_beside_a_run_that_trains_comes_first_and_uses_up_no_new_answer(
    database: Database, settings: Settings
) -> None:
    _, bad = loop_with_a_bad_version(database, settings, "ask")
    first = judged(database, settings)
    answered(database, 60, 80)
    with database.transaction() as conn:
        runs.request(conn, LOOP, "more answers")
        fresh = new_answers.count(conn, LOOP)
    promote(database, LOOP, bad, "ann", "by mistake", models_dir=settings.models_dir)
    with database.transaction() as conn:
        assert len(runs.open_runs(conn, LOOP)) == 2
        began = new_answers.counted_since(conn, LOOP)
    worked(database, settings)
    assert again_of(database, first)[0].status == "asking"
    with database.transaction() as conn:
        assert fresh == new_answers.count(conn, LOOP) > 0
        assert new_answers.counted_since(conn, LOOP) == began, "the time of the next run that is due does not move"
        assert runs.queued_loops(conn) == [LOOP], "the other is still to be done"


def test_stopped_or_without_its_worker_it_leaves_nothing_undone(database: Database, settings: Settings) -> None:
    _, bad = loop_with_a_bad_version(database, settings, "ask")
    first = judged(database, settings)
    answered(database, 60, 80)
    promote(database, LOOP, bad, "ann", "by mistake", models_dir=settings.models_dir)
    with database.transaction() as conn:
        fresh = new_answers.count(conn, LOOP)
        assert runs.claim(conn, LOOP, bad) is not None
        conn.execute("update retrain_runs set heartbeat_at = now() - interval '1 minute' where status = 'running'")
    heal(database)
    lost, queued = sorted(again_of(database, first), key=lambda run: run.status)
    assert (lost.status, queued.status) == ("failed", "queued")
    with database.transaction() as conn:
        assert runs.ask_to_stop(conn, queued.id, "ann", "not wanted")
        assert new_answers.count(conn, LOOP) == fresh > 0, "answers that it never looked at are still new"


def test_a_version_that_passed_with_newer_answers_is_not_displaced(database: Database, settings: Settings) -> None:
    _, bad = loop_with_a_bad_version(database, settings, "ask")
    first = judged(database, settings)
    promote(database, LOOP, bad, "ann", "by mistake", models_dir=settings.models_dir)
    answered(database, 60, 120)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set requested_at = now() + interval '1 hour' where judges is not null")
        conn.execute("update retrain_runs set status = 'stopped' where status = 'queued'")
    newer = judged(database, settings)
    assert newer.status == "asking", newer.reasons
    with database.transaction() as conn:
        conn.execute("update retrain_runs set status = 'queued' where judges is not null")
    worked(database, settings)
    (second,) = again_of(database, first)
    assert second.status == "refused"
    assert second.reasons[0] == (
        f"it passed the gate, but run {newer.id} passed it with a newer version and waits for a decision: refused"
    )
    assert row_of(database, newer.id).status == "asking"
    refuse(database, LOOP, newer.id, "ann", "no")
