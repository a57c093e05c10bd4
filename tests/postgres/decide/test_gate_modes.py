"""What follows from a verdict: it serves, a person is asked, or it predicts beside the champion first."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend import models
from backend.decide.promote import promote, refuse, rollback
from backend.decide.shadow import ask_for_shadows, in_shadow
from backend.train.child import Children
from backend.train.retrain import _apply
from backend.train.train import train
from backend.worker import duties
from labelloop.errors import Conflict, Failed, Unreachable, UsageError
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import GateSpec, Retrain, Shadow
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops, runs, versions
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import answer, put_into_label_studio, settings_for, submit, texts_spec

LABELS = ("ham", "spam")
WORDS = "amber birch cedar delta ember frost grove haven inlet jewel".split()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def truth(i: int) -> str:
    return LABELS[(i * 7 // 3) % 2]


def texts_loop(database: Database, answered: int = 60, n: int = 120, **gate: Any) -> LoopSpec:
    """Texts that are told apart easily, of which the first are answered; the pipeline has half of them right."""
    spec = texts_spec(holdout=0.4, gate=GateSpec(**gate), retrain=Retrain(search=False, after=10_000))
    data = [
        {"text": f"{truth(i)} {WORDS[i % 10]} {WORDS[i // 10 % 10]}", "country": "cl" if i % 3 else "pe"}
        for i in range(n)
    ]
    with database.transaction() as conn:
        ids = submit(conn, spec, data, [truth(i) for i in range(n)])
        answer(conn, spec.name, {ids[f"item-{i}"]: truth(i) for i in range(answered)})
    return spec


def answer_more(database: Database, start: int, end: int, said: Callable[[int], str] = truth) -> None:
    with database.transaction() as conn:
        rows = conn.execute("select id, key from outputs").fetchall()
        ids = {row["key"]: row["id"] for row in rows}
        answer(conn, "texts", {ids[f"item-{i}"]: said(i) for i in range(start, end)})


def judged(database: Database, settings: Settings) -> RetrainRun:
    """A whole run but for its process: what the worker does with what the child says. Returns its row."""
    with database.transaction() as conn:
        spec = loops.get(conn, "texts")
        champion = versions.champion(conn, "texts")
        epoch = versions.epoch(conn, "texts")
        runs.request(conn, "texts", "a test")
        run = runs.claim(conn, "texts", None if champion is None else champion.id)
    assert spec is not None
    assert run is not None
    _apply(database, settings, spec, run, epoch, train(database, settings.models_dir, run.id))
    return row_of(database, run)


def row_of(database: Database, run: RetrainRun) -> RetrainRun:
    with database.transaction() as conn:
        found = runs.get(conn, run.id)
    assert found is not None
    return found


def champion_of(database: Database) -> str | None:
    with database.transaction() as conn:
        champion = versions.champion(conn, "texts")
    return None if champion is None else champion.id


def decisions(database: Database) -> list[tuple[Any, ...]]:
    with database.transaction() as conn:
        rows = conn.execute("select run_id, decision, by, why from decisions order by id").fetchall()
    return [tuple(row.values()) for row in rows]


def test_a_verdict_keeps_all_that_it_rests_on(database: Database, settings: Settings) -> None:
    texts_loop(database, slices=("label", "length", "data"))
    run = judged(database, settings)
    scores = run.evaluation
    assert run.status == "promoted", run.reasons
    json.dumps(scores, allow_nan=False)
    assert scores["metric"] == "accuracy"
    assert scores["gain"]["low"] < scores["gain"]["value"] < scores["gain"]["high"]
    assert 0 < scores["detectable"] < 1
    assert scores["reuse"] == {"looks": 0, "counted": 0, "alpha": 0.05, "asked": 0.05}
    assert {one["by"] for one in scores["slices"]} == {"label", "length", "data.country"}
    assert scores["confusion"]["labels"] == ["ham", "spam"]
    assert sum(map(sum, scores["confusion"]["challenger"])) == scores["holdout"]
    assert scores["calibration"]["champion"]["bins"][0]["confidence"] == 0.6, "the pipeline says how sure it is"
    assert 0 <= scores["calibration"]["challenger"]["ece"] <= 1
    assert scores["speed"]["champion_ms"] is None
    assert scores["speed"]["challenger_ms"] > 0
    assert scores["size_bytes"] == models.path(settings.models_dir, run.made).stat().st_size
    assert scores["reviewers"] == {"people": 0, "answered_by_several": 0, "agreement": None}


def test_earlier_verdicts_on_the_same_answers_are_counted(database: Database, settings: Settings) -> None:
    texts_loop(database, answered=40, alpha=1e-12, min_holdout=10)
    first = judged(database, settings)
    answer_more(database, 40, 120)
    second = judged(database, settings)
    assert (first.status, second.status) == ("refused", "refused")
    reuse, share = second.evaluation["reuse"], first.evaluation["holdout"] / second.evaluation["holdout"]
    assert reuse["looks"] == 1
    assert reuse["alpha"] == pytest.approx(1e-12 / (1 + share))
    assert any("1 earlier verdict on these answers" in reason for reason in second.reasons)
    promote(database, "texts", second.made, "ann", "checked", models_dir=settings.models_dir)
    answer_more(database, 0, 3, lambda i: LABELS[0])
    assert judged(database, settings).evaluation["reuse"]["looks"] == 0, "another champion, another question"


def test_what_asks_changes_nothing_until_a_person_promotes_it(database: Database, settings: Settings) -> None:
    texts_loop(database, promotion="ask")
    run = judged(database, settings)
    assert run.status == "asking"
    assert run.reasons[0].endswith("promoted, if a person decides so")
    assert champion_of(database) is None
    with database.transaction() as conn:
        assert versions.ranker(conn, "texts") == run.version_id, "it ranks already"
        assert runs.new_answers(conn, "texts") == 0
    promote(database, "texts", run.made[:12], "ann", "looks right", models_dir=settings.models_dir)
    after = row_of(database, run)
    assert champion_of(database) == run.version_id
    assert (after.status, after.reasons[0]) == ("promoted", "promoted by ann: looks right")
    assert (after.finished_at, after.reasons[1:]) == (run.finished_at, run.reasons)
    assert decisions(database) == [(run.id, "promote", "ann", "looks right")]


def test_what_asks_can_be_refused_with_a_reason(database: Database, settings: Settings) -> None:
    texts_loop(database, promotion="ask")
    run = judged(database, settings)
    with pytest.raises(UsageError, match="needs a name and a reason"):
        refuse(database, "texts", run.id, "ann", " ")
    with pytest.raises(UsageError, match=rf"there are: {run.id} \(asking\)"):
        refuse(database, "texts", "nothing", "ann", "wrong")
    assert refuse(database, "texts", str(run.id)[:8], "ann", "wrong on hams") == run.id
    after = row_of(database, run)
    assert (after.status, after.reasons[0]) == ("refused", "refused by ann: wrong on hams")
    assert decisions(database) == [(run.id, "refuse", "ann", "wrong on hams")]
    with database.transaction() as conn:
        assert [v.stage for v in versions.list_(conn, "texts")] == ["refused"]
        assert versions.ranker(conn, "texts") == run.version_id
    with pytest.raises(UsageError, match="there are: none"):
        refuse(database, "texts", run.id, "ann", "again")


def test_a_newer_challenger_that_passes_takes_the_place_of_the_one_that_asks(
    database: Database, settings: Settings
) -> None:
    texts_loop(database, promotion="ask")
    older = judged(database, settings)
    answer_more(database, 60, 90)
    newer = judged(database, settings)
    assert newer.status == "asking", newer.reasons
    after = row_of(database, older)
    assert after.status == "refused"
    assert after.reasons[0] == f"run {newer.id} passed the gate with newer answers and takes its place: refused"


def test_the_same_version_made_again_still_asks(database: Database, settings: Settings) -> None:
    texts_loop(database, promotion="ask", reuse="ignore")
    older = judged(database, settings)
    newer = judged(database, settings)
    assert newer.version_id == older.version_id
    assert (row_of(database, older).status, newer.status) == ("refused", "asking")
    with database.transaction() as conn:
        assert [v.stage for v in versions.list_(conn, "texts")] == ["challenger"]
    refuse(database, "texts", newer.id, "ann", "no")
    again = judged(database, settings)
    with database.transaction() as conn:
        assert [v.stage for v in versions.list_(conn, "texts")] == ["challenger"], "refused once, and asks again"
    assert again.status == "asking"


def test_who_was_judged_against_another_champion_asks_no_more(database: Database, settings: Settings) -> None:
    texts_loop(database, promotion="ask")
    older = judged(database, settings)
    promote(database, "texts", older.made, "ann", "good", models_dir=settings.models_dir)
    with database.transaction() as conn:  # as if the newer one still asked when the champion changes
        conn.execute("update retrain_runs set status = 'asking' where id = %s", (older.id,))
    rollback(database, "texts", "bob", "no", models_dir=settings.models_dir)
    after = row_of(database, older)
    assert after.status == "refused"
    assert "which serves no more: it is judged again" in after.reasons[0]


def in_shadow_of(database: Database, settings: Settings, **shadow: Any) -> RetrainRun:
    """A run in shadow whose version has said what 60 outputs are; 20 of them are with people."""
    spec = texts_loop(database, promotion="shadow", shadow=Shadow(**{"answers": 20, **shadow}))
    with database.transaction() as conn:
        conn.execute("delete from pool using answers a where a.output_id = pool.output_id")
        put_into_label_studio(conn, spec.name, 20)
    run = judged(database, settings)
    assert run.status == "shadow", run.reasons
    in_shadow(database, spec.name, settings.models_dir)
    assert champion_of(database) is None
    return run


def test_a_version_in_shadow_is_promoted_by_what_people_answer_later(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings)
    with database.transaction() as conn:
        said = conn.execute("select * from shadow_items").fetchall()
        answered = {row["output_id"] for row in conn.execute("select output_id from answers")}
    assert len(said) == 60
    assert not answered & {row["output_id"] for row in said}, "what was answered before says nothing new"
    assert all(row["champion_confidence"] == 0.6 for row in said)
    answer_more(database, 60, 79)
    in_shadow(database, "texts", settings.models_dir)
    assert row_of(database, run).status == "shadow", "19 of 20 answers"
    answer_more(database, 79, 90)
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, champion_of(database)) == ("promoted", run.version_id)
    assert after.reasons[0].startswith("in shadow, on answers to what came in: challenger accuracy 100.0 % (30 of 30;")
    assert after.evaluation["shadow"]["holdout"] == 30
    assert after.evaluation["holdout"] == run.evaluation["holdout"]
    assert [row[1:3] for row in decisions(database)] == [("promote", "gate")]


def test_the_worker_looks_after_versions_in_shadow(database: Database, settings: Settings) -> None:
    in_shadow_of(database, settings)
    assert {jobs.RETRAIN, jobs.PRELABEL, jobs.SHADOW} <= set(
        duties(database, settings, Children(settings), threading.Event()).jobs
    )

    def asked() -> int:
        with database.transaction() as conn:
            return conn.execute("select from procrastinate_jobs where task_name = %s", (jobs.SHADOW,)).rowcount

    assert asked() == 1, "by the run that has just been judged"
    with database.transaction() as conn:
        conn.execute("delete from procrastinate_jobs")
    ask_for_shadows(database)
    ask_for_shadows(database)
    assert asked() == 1, "and by the periodic look"


def test_a_version_in_shadow_that_live_answers_speak_against_is_refused(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings)
    answer_more(database, 60, 90, lambda i: LABELS[1 - LABELS.index(truth(i))])
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, champion_of(database)) == ("refused", None)
    assert "not better: refused" in after.reasons[0]


def test_runs_that_come_oftener_than_a_shadow_lasts_do_not_keep_it_from_its_end(
    database: Database, settings: Settings
) -> None:
    run = in_shadow_of(database, settings)
    answer_more(database, 60, 79)
    newer = judged(database, settings)
    assert newer.status == "refused"
    assert newer.reasons[0] == f"it passed the gate, but run {run.id} is in shadow and must be judged first: refused"
    with database.transaction() as conn:
        assert versions.ranker(conn, "texts") == newer.version_id, "it ranks all the same"
    answer_more(database, 79, 90)
    in_shadow(database, "texts", settings.models_dir)
    assert champion_of(database) == run.version_id


def test_a_shadow_can_end_in_a_question(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings, then="ask")
    answer_more(database, 60, 90)
    in_shadow(database, "texts", settings.models_dir)
    assert row_of(database, run).status == "asking"
    promote(database, "texts", run.made, "ann", "good", models_dir=settings.models_dir)
    assert row_of(database, run).status == "promoted"


def test_a_shadow_without_answers_ends_as_refused(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings, outputs=25, days=3)
    with database.transaction() as conn:
        assert conn.execute("select count(*) as n from shadow_items").fetchone() == {"n": 25}, "no more than it may"
        conn.execute("update retrain_runs set finished_at = now() - interval '3 days 1 minute'")
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, after.reasons[0]) == (
        "refused",
        "in shadow for 3 days 0 answers came, 20 are wanted (gate.shadow): refused",
    )


def test_a_shadow_ends_in_time_though_a_remote_model_is_away(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unreachable("http://model does not answer")

    run = in_shadow_of(database, settings, days=3)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set finished_at = now() - interval '3 days 1 minute'")
    monkeypatch.setattr("backend.decide.shadow._say", away)
    in_shadow(database, "texts", settings.models_dir)
    assert row_of(database, run).status == "refused"


def test_a_version_in_shadow_whose_file_is_damaged_is_refused(database: Database, settings: Settings) -> None:
    run = in_shadow_of(database, settings, outputs=25)
    answer_more(database, 60, 120)
    file = models.path(settings.models_dir, run.made)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    in_shadow(database, "texts", settings.models_dir)
    after = row_of(database, run)
    assert (after.status, champion_of(database)) == ("refused", None)
    assert "damaged or was changed" in after.reasons[0]


def test_there_is_no_way_back_to_what_never_served_nor_to_a_damaged_file(
    database: Database, settings: Settings
) -> None:
    texts_loop(database)
    first = judged(database, settings).made
    answer_more(database, 60, 70)
    never = judged(database, settings)
    assert never.status == "refused"
    folder = settings.models_dir
    with pytest.raises(UsageError, match=f"{never.made[:12]} never served: promote it. .*{first[:12]}"):
        rollback(database, "texts", "ann", "why not", to=never.made[:12], models_dir=folder)
    promote(database, "texts", never.made, "ann", "it was refused, and I know better", models_dir=folder)
    assert decisions(database) == [(never.id, "promote", "ann", "it was refused, and I know better")]
    assert row_of(database, never).status == "refused", "the gate's verdict stays what it was"
    models.path(folder, first).write_bytes(b"something else")
    with pytest.raises(Failed, match="damaged or was changed"):
        rollback(database, "texts", "ann", "worse", models_dir=folder)
    assert champion_of(database) == never.made
    with pytest.raises(Conflict, match="is champion of texts already"):
        rollback(database, "texts", "ann", "worse", to=never.made, models_dir=folder)
    assert rollback(database, "texts", "ann", "worse", to="pipeline", models_dir=folder).version == "pipeline"
