"""Verdicts that promote at once, or that ask a person first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend import models
from backend.decide.promote import promote, refuse, rollback
from labelloop.errors import Conflict, Failed, UsageError
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.questions import new_answers
from labelloop.store.tables import versions
from tests.support.backend_factory import settings_for
from tests.support.hops.judged_texts import LABELS, answer_more, champion_of, decisions, judged, row_of, texts_loop


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


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
        assert new_answers.count(conn, "texts") == 0
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

    with database.transaction() as conn:
        conn.execute("update loops set spec = jsonb_set(spec, '{gate,promotion}', '\"auto\"')")
    same = judged(database, settings)
    assert (same.version_id, same.status) == (run.version_id, "asking")
    assert same.reasons[0].endswith("if a person decides so, because ann has refused the same version")
    promote(database, "texts", run.made, "ann", "I was wrong", models_dir=settings.models_dir)
    assert champion_of(database) == run.version_id, "a person may think again"


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
    words = f"run {newer.id} passed the gate with the same version and takes its place: refused"
    assert row_of(database, older).reasons[0] == words
    with database.transaction() as conn:
        assert [v.stage for v in versions.list_(conn, "texts")] == ["challenger"]
    refuse(database, "texts", newer.id, "ann", "no")
    again = judged(database, settings)
    with database.transaction() as conn:
        assert [v.stage for v in versions.list_(conn, "texts")] == ["challenger"], "refused once, and asks again"
    assert again.status == "asking"


def test_a_version_judged_against_another_champion_no_longer_asks(database: Database, settings: Settings) -> None:
    texts_loop(database, promotion="ask")
    older = judged(database, settings)
    promote(database, "texts", older.made, "ann", "good", models_dir=settings.models_dir)
    with database.transaction() as conn:  # as if the newer one still asked when the champion changes
        conn.execute("update retrain_runs set status = 'asking' where id = %s", (older.id,))
    rollback(database, "texts", "bob", "no", models_dir=settings.models_dir)
    after = row_of(database, older)
    assert after.status == "refused"
    assert "which no longer serves: it is judged again" in after.reasons[0]


def test_a_rollback_needs_a_version_that_served_and_an_undamaged_file(database: Database, settings: Settings) -> None:
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
