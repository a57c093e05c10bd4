"""The command `report judge` on the real Postgres: certified, stale and not certified judges, and its evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.report.estimates.blind import blind_report
from backend.report.estimates.judge import judge_report, judge_standing
from backend.report.loops import overview_report
from console.cli import main
from labelloop.errors import UsageError
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.backend_factory import texts_spec
from tests.support.hops.judged_outputs import Verdicts, judge_spec


def judge(database: Database, folder: Path, *words: str) -> Result:
    env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_DATA_DIR": str(folder)}
    return CliRunner().invoke(main, ["report", "judge", "--loop", "texts", *words], env=env)


def test_a_good_judge_is_certified_by_blind_answers_and_the_bounds_hold_its_rates(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(1_200, tpr=0.93, tnr=0.92)
        loop.draw(ids)
        answered = loop.answer(ids)
    printed = judge(database, tmp_path, "--json", "--check")
    found = json.loads(printed.stdout)
    assert (printed.exit_code, found["status"], found["why"]) == (0, "certified", [])
    assert (found["judge"], found["positive"], found["answers"]) == ("judge-1", "pass", answered)
    assert found["tpr"]["low"] < 0.93 < found["tpr"]["high"]
    assert found["tnr"]["low"] < 0.92 < found["tnr"]["high"]
    assert 0.8 < found["tpr"]["bound"] < 0.93
    truly = sum(label == "pass" for label in loop.truth.values()) / len(loop.truth)
    assert found["corrected"]["low"] < truly < found["corrected"]["high"]
    assert abs(found["corrected"]["value"] - truly) < abs(found["apparent"] - truly)
    assert 0.7 < found["kappa"]["low"] < found["kappa"]["value"] < found["kappa"]["high"] < 1
    text = judge(database, tmp_path).stdout
    assert text.startswith("Certified: judge judge-1 with form " + found["form"])
    assert "showed it, and it holds however often people look." in text
    assert "look at its" not in text
    for looked in found["looks"].values():
        assert looked["certified"]
        assert looked["passed_at"] <= looked["last"]["answers"] <= looked["answers"] < looked["next"]


def test_a_judge_that_always_says_pass_has_kappa_0_and_is_no_better_than_always_pass(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(600, tpr=1.0, tnr=0.0, base=0.67)
        loop.draw(ids)
        loop.answer(ids)
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert "kappa 0.00" in printed.stdout
    assert "not shown to be better than always saying 'pass'" in printed.stdout
    assert "How many truly are cannot be told" in printed.stdout
    assert "No number of answers is likely to certify TNR: it is about 0.0 %" in printed.stdout
    assert "Its TPR passed the look at 26 answers 'pass'." in printed.stdout
    assert "the judge disagrees with people in" in printed.stdout


@pytest.mark.parametrize("answers", [0, 1, 50])
def test_too_few_answers_certify_nothing_and_the_missing_ones_are_named(
    database: Database, tmp_path: Path, answers: int
) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(400, tpr=0.9, tnr=0.9)
        loop.draw(ids)
        some = [id_ for id_ in ids if loop.lane[id_] in ("holdout", "audit")][:answers]
        loop.answer(some)
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert printed.stdout.startswith("Not certified: judge judge-1")
    assert "more blind answers 'fail' would do for TNR: it is likely to pass by the look at" in printed.stdout
    assert "Only these looks decide. So it does not matter how often somebody opens this report" in printed.stdout
    assert "Tasks of the rule lane come on top and do not count." in printed.stdout
    with database.transaction() as conn:
        found = judge_report(conn, "texts")
    assert found["answers"] == len(some)
    looked = found["looks"]["negative"]
    n = looked["answers"]
    first = "first" if looked["last"] is None or looked["last"]["allowed"] < 0 else "next"
    there = f"there {'is' if n == 1 else 'are'} {n}."
    assert f"The {first} look at its TNR is at {looked['next']} answers 'fail'; {there}" in printed.stdout
    assert looked["next"] > n
    enough = found["waiting"] >= found["needed"]["outputs"]
    assert ("which is enough." if enough else "which is too few: let this version judge more") in printed.stdout
    assert found["needed"]["outputs"] >= found["needed"]["negative"] >= (1 if answers == 50 else 10)


def test_a_rate_that_falls_below_the_floor_ends_the_certificate_of_the_same_version(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(600, tpr=0.98, tnr=0.98)
        loop.draw(ids)
        loop.answer(ids)
        assert judge_report(conn, "texts")["status"] == "certified"
        worse = loop.come(900, tpr=0.98, tnr=0.4, name="later")
        loop.draw(worse)
        loop.answer(worse)
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert printed.stdout.startswith("Stale: an earlier certificate does not hold")
    assert "but at the last look, at" in printed.stdout
    with database.transaction() as conn:
        [loop_now] = overview_report(conn)["loops"]
    [ended] = loop_now["ended_promises"]
    assert ended.startswith("the judge is no longer certified: its TNR passed the look at")


def test_one_class_among_people_leaves_the_other_rate_unknown(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(300, tpr=0.9, tnr=0.9, base=1.0)
        loop.draw(ids)
        loop.answer(ids)
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert "No blind answer of people is 'fail', so its TNR is not known." in printed.stdout


def test_a_new_version_of_the_judge_and_a_new_form_make_the_certificate_stale(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(1_000, tpr=0.95, tnr=0.95)
        loop.draw(ids)
        loop.answer(ids)
    assert judge(database, tmp_path, "--check").exit_code == 0
    with database.transaction() as conn:
        loops.register(conn, judge_spec(definitions={"pass": "polite and true"}))
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert printed.stdout.startswith("Stale: an earlier certificate does not hold")
    assert "people read the form" in printed.stdout
    with database.transaction() as conn:
        loops.register(conn, judge_spec())
    assert judge(database, tmp_path, "--check").exit_code == 0, "the same form as before"
    with database.transaction() as conn:
        loop.conn = conn
        loop.come(5, tpr=0.95, tnr=0.95, version="judge-2", name="new")
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert "certified as version judge-1, and the newest outputs are of judge-2" in printed.stdout
    assert judge(database, tmp_path, "--check", "--model-version", "judge-1").exit_code == 0
    unknown = judge(database, tmp_path, "--model-version", "judge-9")
    assert unknown.exit_code == 2
    assert "there are: 'judge-2', 'judge-1'" in unknown.stderr


@pytest.mark.parametrize("judge", ["good", "stale", "new"])
def test_the_standing_says_the_same_as_the_report_without_its_costly_figures(database: Database, judge: str) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(1_000, tpr=0.95, tnr=0.95)
        if judge != "new":
            loop.draw(ids)
            loop.answer(ids)
    with database.transaction() as conn:
        loop.conn = conn
        if judge == "stale":
            loop.come(5, tpr=0.95, tnr=0.95, version="judge-2", name="new")
        spec = loops.get(conn, "texts")
        assert spec is not None
        report, standing = judge_report(conn, "texts"), judge_standing(conn, spec)
    assert standing is not None
    assert standing["status"] == {"good": "certified", "stale": "stale", "new": "not certified"}[judge]
    assert standing.pop("headline") == report["sentences"][0]
    assert standing == {key: report[key] for key in standing}
    assert not {"kappa", "needed", "waiting", "left_out", "sentences"} & set(standing)


def test_answers_that_are_no_evidence_are_counted_with_the_reason(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(300, tpr=0.9, tnr=0.9)
        ranked = loop.answer(ids, "rule")
        shown = loop.answer(ids)  # nothing was drawn: people saw the verdicts
        found = judge_report(conn, "texts")
    assert found["left_out"] == {"gold": 0, "ranked": ranked, "unclear": 0, "not_blind": shown}
    assert found["answers"] == 0
    printed = judge(database, tmp_path)
    assert f"Left out: {shown} answered outputs, because people saw a prelabel" in printed.stdout
    assert f"Left out: {ranked} answered outputs, because the trigger and the rank chose them" in printed.stdout


def test_blind_tasks_are_compared_with_the_others_of_their_lanes(database: Database) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(300, tpr=0.9, tnr=0.9)
        loop.draw(ids[:150])
        conn.execute("update tasks set pushed_at = now() + interval '1 hour'")  # after the first draw
        loop.answer(ids)
        found = blind_report(conn, loop.spec)
    blind, others = (sum(row[side] for row in found["lanes"]) for side in ("blind", "shown"))
    shares = f"{100 * found['found']['blind']:.1f} % of blind tasks, and in {100 * found['found']['shown']:.1f} %"
    assert found["sentences"][0].startswith(f"People give the model's answer in {shares} of the others: ")
    assert f"These are {blind} and {others} answers of the same lanes." in found["sentences"][0]


def test_a_judge_without_a_version_is_never_certified(database: Database, tmp_path: Path) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(1_000, tpr=0.97, tnr=0.97, version="")
        loop.draw(ids)
        loop.answer(ids)
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert "The outputs name no model_version." in printed.stdout


def test_without_any_output_the_report_says_so_and_does_not_blame_the_pipeline(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loops.register(conn, judge_spec())
    printed = judge(database, tmp_path, "--check")
    assert printed.exit_code == 1
    assert printed.stdout.startswith("Not certified: no verdict yet, form ")
    assert "No verdict has come in yet" in printed.stdout
    assert "name no model_version" not in printed.stdout
    assert "of this version wait" not in printed.stdout


def test_a_third_label_is_not_the_positive_one(database: Database) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec(labels=("pass", "fail", "unsure")))
        ids = loop.come(300, tpr=0.9, tnr=0.9)
        loop.draw(ids)
        loop.answer(ids)
        found = judge_report(conn, "texts")
    assert found["negative"] == ["fail", "unsure"]
    assert any("'not pass'" in sentence for sentence in found["sentences"])


def test_a_loop_without_a_judge_says_what_to_write(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, texts_spec())
        with pytest.raises(UsageError, match=r'add `judge: \{positive: "ham"\}` to its loop.yaml'):
            judge_report(conn, "texts")
        with pytest.raises(UsageError, match="no loop 'nothing'"):
            judge_report(conn, "nothing")
