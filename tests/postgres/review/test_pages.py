"""The review pages over HTTP, by the test client of Flask: reports, texts of others, and unknown addresses."""

from __future__ import annotations

from uuid import UUID

from psycopg.types.json import Jsonb
from werkzeug.test import TestResponse

from backend.report.card import card
from backend.report.loops import loop_report, overview_report
from backend.report.runs import run_progress, run_report
from backend.report.versions import comparison, version_report
from labelloop.store.database import Database
from labelloop.store.tables import access
from tests.support.review.review_house import XSS, House, champion, log_in


def test_an_answer_that_nobody_can_read_stands_on_the_loops_page_with_its_reason(house: House) -> None:
    path = "/review/loops/digits"
    assert "Unreadable answers" not in house.logged_in().get(path).text
    with house.database.transaction() as conn:
        conn.execute(
            """
            with asked as (select id, key from outputs where state = 'in_review' order by key limit 1), version as (
                insert into annotation_versions (instance, annotation_id, task_id, output_id, sha256, result,
                    was_cancelled, created_at, updated_at)
                select gen_random_uuid(), 1, 1, id, '', '[]', false, now(), now() from asked returning seq, output_id
            )
            insert into unreadable (loop, output_id, annotation_version, reason, ask, comment, form)
            select 'digits', output_id, seq, 'Choices ' || %(xss)s, false, 'torn', '' from version
            """,
            {"xss": XSS},
        )
    page = house.logged_in().get(path).text
    assert "Unreadable answers" in page
    assert "1 answer cannot be read, and nobody else is asked" in page
    assert "the comment: torn" in page
    assert "<script>alert" not in page
    report = house.client().get("/v1/review/loops/digits", headers=house.bearer()).get_json()
    (answer,) = report["unreadable_answers"]
    assert (answer["again"], answer["reviewer"]) == (False, None)


def test_http_gives_the_reports_and_takes_the_same_decisions(house: House, judged: UUID) -> None:
    client = house.client()
    with house.database.transaction() as conn:
        run = run_report(conn, judged)
        a, b = run["champion"]["version"], run["challenger"]["version"]
        wanted = {
            "overview": overview_report(conn),
            "loops/digits": loop_report(conn, "digits"),
            f"runs/{judged}": run,
            f"runs/{run['name']}/progress": run_progress(conn, judged),
            f"versions/{b[:12]}": version_report(conn, b),
            f"versions/{b[:12]}/card": card(house.database, b, house.settings.models_dir),
            f"compare?a={a[:12]}&b={b[:12]}": comparison(conn, a, b),
        }
    for path, report in wanted.items():
        assert client.get(f"/v1/review/{path}", headers=house.bearer("otto")).get_json() == report

    def post(path: str, body: object) -> TestResponse:
        return client.post(f"/v1/review/{path}", json=body, headers=house.bearer())

    unreadable: list[object] = [
        {},
        [],
        {"why": 3},
        {"why": "x", "epoch": "1"},
        {"why": "x", "to": 3},
        {"why": " "},
        {"why": "\0"},
        {"why": "\ud800"},
    ]
    for wrong in unreadable:
        assert post(f"promote/{b}", wrong).status_code == 400
    deep = {"data": b"[" * 100_000, "content_type": "application/json"}
    assert client.post(f"/v1/review/promote/{b}", headers=house.bearer(), **deep).status_code == 400
    assert post(f"promote/{b}", {"why": "x", "epoch": 7}).status_code == 409
    assert post(f"promote/{b[:12]}", {"why": "from a script", "epoch": 1}).get_json()["done"].startswith(b[:12])
    assert post("rollback/digits", {"why": "back", "to": a}).status_code == 200
    assert champion(house.database) == a
    assert post("nothing/digits", {"why": "x"}).status_code == 404


def test_an_unknown_page_is_404_with_a_sentence(house: House) -> None:
    client = house.logged_in()
    for path, said in [
        ("loops/nope", "no loop &#39;nope&#39;; there are: digits"),
        ("loops/%00", "no loop"),
        ("runs/%00", "no run begins with"),
        ("runs/zz", "no run begins with"),
        ("runs/00000000-0000-0000-0000-000000000000", "no run begins with"),
        ("versions/zz", "no version begins with"),
        ("versions/zz/card", "no version begins with"),
        ("compare?a=zz&b=yy", "no version begins with"),
        ("promote/zz", "no version begins with"),
        ("retrain/nope", "no loop"),
        ("stop/zz", "no run begins with"),
        ("nothing/here", "There is no such page."),
    ]:
        answer = client.get(f"/review/{path}")
        assert answer.status_code == 404, path
        assert said in answer.text, path
    for path in ("loops/nope", "runs/zz", "versions/zz", "compare", "runs/zz/progress"):
        assert client.get(f"/v1/review/{path}", headers=house.bearer()).status_code == 404


def plant(database: Database) -> None:
    """Write markup into every text of pipelines, annotators, learners and people that a page shows."""
    with database.transaction() as conn:
        conn.execute("update outputs set data = jsonb_build_object('text', %s::text, %s::text, 'v')", (XSS, XSS))
        conn.execute("update run_items set label = %s, champion_label = 'x', challenger_label = %s", (XSS, XSS + "2"))
        conn.execute(
            "update retrain_runs set why = %(x)s, reasons = array[%(x)s], error = %(x)s, log = %(x)s,"
            " stop_asked_by = %(x)s, tried = to_jsonb(%(x)s::text), progress = jsonb_build_object('step', %(x)s::text),"
            " scores = jsonb_set(jsonb_set(scores, '{slices,0,value}', to_jsonb(%(x)s::text)),"
            " '{confusion,labels,0}', to_jsonb(%(x)s::text))",
            {"x": XSS},
        )
        conn.execute("update promotions set by = %s, why = %s", (XSS, XSS))
        conn.execute("alter table model_versions disable trigger user")
        conn.execute("update model_versions set learner = %s, classes = array[%s]", (XSS, XSS))
        conn.execute("insert into decisions (run_id, decision, by, why) select id, 'refuse', %s, %s from retrain_runs",
                     (XSS, XSS))  # fmt: skip


def test_nothing_that_others_wrote_becomes_markup(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        run = run_report(conn, judged)
    a, b = run["champion"]["version"], run["challenger"]["version"]
    plant(house.database)
    for path in ("", "loops/digits", f"runs/{judged}", f"versions/{b}", f"compare?a={a}&b={b}", f"promote/{b}"):
        page = client.get(f"/review/{path}")
        assert page.status_code == 200, page.text
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
    assert "&lt;script&gt;alert(1)" in client.get(f"/review/runs/{judged}").text
    wrong = client.get("/review/loops/<script>alert(1)</script>")
    assert "<script>alert" not in wrong.text


def test_a_name_of_a_token_is_text_too(house: House) -> None:
    with house.database.transaction() as conn:
        token = access.add(conn, XSS, ["review"])
    client = house.client()
    log_in(client, token)
    page = client.get("/review/").text
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


def test_a_run_page_says_what_was_not_measured(house: House, judged: UUID) -> None:
    """Without confidences nothing is calibrated, older runs have no speed, and too few answers give no loss."""
    with house.database.transaction() as conn:
        conn.execute(
            "update retrain_runs set scores = scores - 'speed' || %(none)s where id = %(run)s",
            {"none": Jsonb({"calibration": {"champion": None, "challenger": None}, "loss": None}), "run": judged},
        )
    page = house.logged_in().get(f"/review/runs/{judged}")
    assert page.status_code == 200
    assert page.text.count("not measured") >= 4
    assert "promoting the challenger loses" not in page.text
