"""Looks at a judge on the real Postgres: what comes later, changes or goes never moves an earlier look."""

from __future__ import annotations

from backend.report.estimates.judge import judge_report
from labelloop.gate.judge_looks import SIZES
from labelloop.store.database import Database
from labelloop.store.estimates import judges
from tests.support.backend_factory import answer
from tests.support.hops.judged_outputs import Verdicts, judge_spec


def test_a_report_after_each_answer_says_certified_only_at_a_look_and_then_stays_so(database: Database) -> None:
    said = []
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = loop.come(400, tpr=0.97, tnr=0.97)
        loop.draw(ids)
        for id_ in ids:
            if loop.answer([id_]):
                found = judge_report(conn, "texts")
                said.append((found["status"], [one["answers"] for one in found["looks"].values()]))
                if len(said) > 150:
                    break
    first = [status for status, _ in said].index("certified")
    assert {status for status, _ in said[first:]} == {"certified"}
    assert set(said[first][1]) & set(SIZES), "the answer that certified it completed a look"


def test_an_answer_that_was_unclear_at_first_changes_no_earlier_look(database: Database) -> None:
    """Two people differ about an output before all others, and a third one settles it after them."""
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        tie, *ids = (id_ for id_ in loop.come(400, tpr=1.0, tnr=1.0) if loop.lane[id_] in ("holdout", "audit"))
        loop.draw([tie, *ids])
        answer(conn, "texts", {tie: None})
        loop.answer(ids[:27])
        before = judges.answered(conn, "texts", "pass")
        loop.answer([tie])
        after = judges.answered(conn, "texts", "pass")
    assert len(before) == 27
    assert after[:-1] == before
    assert after[-1].people == (loop.truth[tie] == "pass")


def test_an_answer_that_people_change_or_take_back_changes_no_earlier_look(database: Database) -> None:
    with database.transaction() as conn:
        loop = Verdicts(conn, judge_spec())
        ids = [id_ for id_ in loop.come(600, tpr=0.9, tnr=0.9) if loop.lane[id_] in ("holdout", "audit")]
        loop.draw(ids)
        loop.answer(ids[:100])
        before = judge_report(conn, "texts")
        passes = [id_ for id_ in ids[:100] if loop.truth[id_] == "pass"]
        answer(conn, "texts", dict.fromkeys(passes[:5], "fail") | {passes[5]: None})
        after = judge_report(conn, "texts")
        rows = judges.answered(conn, "texts", "pass")
    assert [row.people for row in rows if row.output_id == passes[5]] == [True, None]
    for name in ("positive", "negative"):
        assert after["looks"][name]["passed_at"] == before["looks"][name]["passed_at"]
    assert after["looks"]["positive"]["last"] == before["looks"]["positive"]["last"]
    assert after["tpr"]["answers"] == before["tpr"]["answers"] - 6
    assert after["tnr"]["answers"] == before["tnr"]["answers"] + 5
    assert after["answers"] == before["answers"] - 1
