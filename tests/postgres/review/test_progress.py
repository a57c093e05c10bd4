"""The report of progress says what more answers would bring, or why it cannot: as page, JSON and command."""

from __future__ import annotations

import html
import json
import re

import pytest
from psycopg.types.json import Jsonb

from backend.report.estimates.progress import progress_report
from labelloop.answers.people import Person
from labelloop.errors import UsageError
from labelloop.reading.ids import UserId
from labelloop.store.database import Conn
from labelloop.store.tables import feedback, loops
from tests.support.review.opinions import spec_of
from tests.support.review.review_house import House

HELD_OUT = 150


def text(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def versions_of(conn: Conn, loop: str, curve: dict[int, float], held_out: int = HELD_OUT) -> None:
    """Let the loop have had versions with these accuracies by training size, judged by the same held-out answers.

    A held-out answer that a weaker version predicts correctly is predicted correctly by a stronger one.
    """
    conn.execute("delete from run_items")
    conn.execute("update retrain_runs set scores = null")
    learner = conn.execute("select learner from model_versions limit 1").fetchone()
    assert learner is not None
    conn.execute(
        """
        insert into outputs (id, loop, key, group_key, label, data, state, lane, holdout, body_sha256, model_version)
        select gen_random_uuid(), %(loop)s, 'held-' || n, 'held-' || n, '1', '{}', 'answered', 'holdout', true, '', 'm'
        from generate_series(1, %(n)s) n
        """,
        {"loop": loop, "n": held_out},
    )
    conn.execute(
        """
        insert into answers (loop, output_id, label, reviewers, agreement, resolved_at)
        select loop, id, '1', 1, 1, now() from outputs where key like 'held-%%'
        """
    )
    for at, (size, accuracy) in enumerate(curve.items()):
        version = f"{at:064x}"
        conn.execute(
            "insert into model_versions (id, loop, learner, classes, size_bytes, trained_on, stage, created_at) "
            "values (%s, %s, %s, '{1,2}', 1, %s, 'refused', now() + %s * interval '1 minute')",
            (version, loop, learner["learner"], size, at),
        )
        conn.execute(
            "insert into retrain_runs (id, loop, why, status, seed, version_id, scores, finished_at, feedback_upto) "
            "values (gen_random_uuid(), %s, 'test', 'refused', 0, %s, %s, now(), 1)",
            (loop, version, Jsonb({"challenger": {"accuracy": accuracy}})),
        )
        conn.execute(
            """
            insert into run_items (run_id, output_id, part, holdout, answer_seq, label, challenger_label)
            select r.id, o.id, 'holdout', true, a.seq, '1',
                case when substr(o.key, 6)::int <= round(%(n)s * %(accuracy)s) then '1' else '2' end
            from retrain_runs r, outputs o join answers a on a.output_id = o.id
            where r.version_id = %(version)s and o.key like 'held-%%'
            """,
            {"n": held_out, "accuracy": accuracy, "version": version},
        )


def in_seconds(conn: Conn, seconds: float) -> None:
    """Let one person have given all held-out answers, each in so many seconds."""
    project = conn.execute("select instance from projects").fetchone()
    assert project is not None
    feedback.upsert_reviewers(conn, project["instance"], {UserId(7): Person("anne@example.org", "anne")})
    conn.execute(
        """
        insert into feedback
            (id, model_output_id, reviewer_id, label, annotation_id, created_at, updated_at, lead_time_s)
        select gen_random_uuid(), o.id, r.id, '1', row_number() over (order by o.key), now(), now(), %s
        from outputs o cross join reviewers r where o.key like 'held-%%'
        """,
        (seconds,),
    )


def rising(n: float) -> float:
    return float(0.97 - 2.2 * n**-0.5)


def test_a_rising_curve_says_how_many_answers_the_next_points_take_and_what_they_cost(house: House) -> None:
    sizes = (50, 100, 200, 400, 600)
    with house.database.transaction() as conn:
        versions_of(conn, "digits", {n: rising(n) for n in sizes})
        in_seconds(conn, 30)
        found = progress_report(conn, "digits")
    assert found["trend"]["direction"] == "rises"
    assert [row["trained_on"] for row in found["forecast"]] == [600, 750, 900, 1200, 1500, 1800]
    for row in found["forecast"]:
        assert row["low"] <= rising(row["trained_on"]) <= row["high"]
    first = found["goals"][0]
    for goal in found["goals"]:
        true = (2.2 / (0.97 - rising(600) - goal["gain"])) ** 2 - 600
        assert (goal["more_low"] or 0) <= true <= (goal["more_high"] or 1e9)
    assert first["hours"] == pytest.approx(first["more"] * found["answers_per_training_answer"] * 30 / 3600)
    assert found["headline"].startswith("The accuracy is about")
    assert any("of people's time" in sentence for sentence in found["sentences"])


def test_versions_that_got_worse_are_not_continued(house: House) -> None:
    with house.database.transaction() as conn:
        versions_of(conn, "digits", {50: 0.95, 100: 0.9, 200: 0.85, 400: 0.7})
        found = progress_report(conn, "digits")
    assert found["trend"]["direction"] == "falls"
    assert (found["forecast"], found["goals"]) == ([], [])
    assert "fell from 50 to 400 training answers" in found["headline"]


def test_a_flat_curve_claims_no_rise_and_says_what_it_would_have_found(house: House) -> None:
    with house.database.transaction() as conn:
        versions_of(conn, "digits", {50: 0.9, 100: 0.9, 200: 0.906, 400: 0.9})
        found = progress_report(conn, "digits")
    assert found["trend"]["direction"] == "unclear"
    assert found["goals"] == []
    assert "No rise of the accuracy beyond chance" in found["headline"]
    double = next(row for row in found["forecast"] if row["trained_on"] == 800)
    assert double["low"] < 0.9 < double["high"]


@pytest.mark.parametrize(
    ("curve", "held_out", "said"),
    [
        ({}, HELD_OUT, "no version has been judged"),
        ({100: 0.9}, HELD_OUT, "1 version has been judged by 30 held-out answers or more, and at least 4 are needed"),
        ({100: 0.9, 110: 0.9, 120: 0.9, 130: 0.9}, HELD_OUT, "at least 2 times as many are needed"),
        ({50: 0.3, 100: 0.6, 200: 0.9, 400: 1.0}, 3, "no version has been judged by 30 held-out answers or more"),
    ],
)
def test_with_too_little_the_report_says_what_is_missing(
    house: House, curve: dict[int, float], held_out: int, said: str
) -> None:
    with house.database.transaction() as conn:
        versions_of(conn, "digits", curve, held_out)
        found = progress_report(conn, "digits")
    assert found["trend"] is None
    assert said in found["headline"]


def test_criteria_look_at_consecutive_versions_and_say_what_they_need(house: House) -> None:
    with house.database.transaction() as conn:
        versions_of(conn, "digits", {50: 0.9, 100: 0.9, 200: 0.9, 400: 0.9})
        same = {one["name"]: one for one in progress_report(conn, "digits")["stopping"]}
    assert [one["stops"] for one in same.values()][:3] == [True, True, True]
    assert all(one["items"] == HELD_OUT for one in list(same.values())[:3])
    with house.database.transaction() as conn:
        conn.execute("update run_items set challenger_label = '2' where run_id = "
                     "(select id from retrain_runs where version_id = %s)", (f"{3:064x}",))  # fmt: skip
        other = {one["name"]: one for one in progress_report(conn, "digits")["stopping"]}
    assert [one["stops"] for one in other.values()][:3] == [False, False, False]
    with house.database.transaction() as conn:
        conn.execute("delete from run_items")
        none = progress_report(conn, "digits")
    assert all("cannot be computed" in one["words"] for one in none["stopping"][:3])


def test_outputs_that_the_newest_version_has_not_ranked_are_counted_as_waiting(house: House) -> None:
    with house.database.transaction() as conn:
        [row] = conn.execute("select count(*) as n from pool where loop = 'digits' and lane = 'rule'").fetchall()
        conn.execute("update pool set ranker = 'pipeline' where loop = 'digits'")
        said = progress_report(conn, "digits")["stopping"][-1]["words"]
        assert row["n"] > 0
        waiting = f"the {row['n']:,} waiting outputs of the rule lane"
        assert f"the newest version has ranked 0 of {waiting}; at least 30 are needed" in said
        conn.execute("update retrain_runs set status = 'failed', why = 'test' where loop = 'digits'")
        said = progress_report(conn, "digits")["stopping"][-1]["words"]
    assert f"no version has been trained, so none has ranked {waiting}" in said


def test_the_page_the_json_and_the_loops_page_say_the_same(house: House) -> None:
    with house.database.transaction() as conn:
        versions_of(conn, "digits", {n: rising(n) for n in (50, 100, 200, 400)})
        found = progress_report(conn, "digits")
    client = house.logged_in()
    page = client.get("/review/loops/digits/progress")
    assert page.status_code == 200
    assert all(sentence in text(page.text) for sentence in found["sentences"])
    assert page.text.count("<svg") == 2
    assert "measured by all held-out answers that have judged it so far" in text(page.text)
    assert "counts later held-out answers too, so its figures can differ" in text(
        client.get("/review/loops/digits").text
    )
    assert found["headline"] in text(client.get("/review/loops/digits").text)
    told = house.client().get("/v1/review/loops/digits/progress", headers=house.bearer())
    assert told.json == json.loads(json.dumps(found))
    assert house.client().get("/v1/review/loops/none/progress", headers=house.bearer()).status_code == 404


def test_the_command_prints_sentences_and_criteria(house: House) -> None:
    from click.testing import CliRunner

    from console.cli import main

    with house.database.transaction() as conn:
        versions_of(conn, "digits", {n: rising(n) for n in (50, 100, 200, 400)})
        found = progress_report(conn, "digits")
    env = {"LABELLOOP_DATABASE_URL": house.settings.database_url}
    said = CliRunner().invoke(main, ["report", "progress"], env=env)
    assert said.exit_code == 0, said.output
    assert found["headline"] in said.output
    assert "predicted change of F" in said.output
    told = CliRunner().invoke(main, ["report", "progress", "--json"], env=env)
    assert json.loads(told.output)["goals"] == found["goals"]


def test_a_loop_that_is_not_there_is_named(house: House) -> None:
    with house.database.transaction() as conn, pytest.raises(UsageError, match="no loop 'none'; there are: digits"):
        progress_report(conn, "none")


def test_the_overview_counts_no_new_answers_for_a_loop_without_a_learner(house: House) -> None:
    with house.database.transaction() as conn:
        loops.register(conn, spec_of("  learner: {name: none}\n", "quiet"))
        loops.register(conn, spec_of(name="learns"))
    page = text(house.logged_in().get("/review/").text)
    assert "0 waiting, 0 in review, no learner" in page
    assert "0 waiting, 0 in review, 0 of 50 new answers" in page
