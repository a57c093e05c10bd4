"""Decisions of people on the review pages: promote, roll back, refuse, ask for a run."""

from __future__ import annotations

import re
from uuid import UUID

from psycopg.types.json import Jsonb

from backend.report.loops import overview_report
from backend.report.runs import run_report
from labelloop.answers.alerts import AlertKind, Found
from labelloop.gate import Accuracy
from labelloop.reading.ids import AnnotationId, TaskId, UserId
from labelloop.store.alerts import rows
from labelloop.store.tables import runs, versions
from tests.support.backend_factory import digits_spec, submit
from tests.support.review.desk import LAPTOP, PHONE, Desk, check, check_tables_are_whole
from tests.support.review.review_house import XSS, House, champion, csrf, decide


def test_a_person_who_may_only_look_sees_no_button_and_gets_403(house: House, judged: UUID) -> None:
    client = house.logged_in("otto")
    page = client.get(f"/review/runs/{judged}")
    assert page.status_code == 200
    assert 'class="button' not in page.text
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    for path in (f"promote/{version}", f"refuse/{judged}", "rollback/digits", "retrain/digits", f"stop/{judged}"):
        assert client.get(f"/review/{path}").status_code == 403
        answer = client.post(f"/review/{path}", data={"csrf": csrf(page), "why": "x"})
        assert answer.status_code == 403
        assert "This needs the scope promote; otto has: review." in answer.text
        assert client.post(f"/v1/review/{path}", json={"why": "x"}, headers=house.bearer("otto")).status_code == 403


def test_a_version_is_promoted_and_rolled_back_each_with_name_and_reason(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        report = run_report(conn, judged)
    before, new = report["champion"]["version"], report["challenger"]["version"]
    look = client.get(f"/review/promote/{new}").text
    assert f"{new[:12]} becomes the champion of digits, in place of {before[:12]}." in look
    answer = decide(client, f"/review/promote/{new}", why="looked at the eights")
    assert answer.location == f"/review/versions/{new}"
    assert f"{new[:12]} is champion of digits now; before it was {before[:12]}." in client.get(answer.location).text
    assert champion(house.database) == new
    assert client.get(f"/review/promote/{new}").status_code == 409

    back = client.get("/review/rollback/digits").text
    assert re.findall(r'<option value="(\w+)"', back) == [before, "pipeline"]
    next_run = f"A run that makes {new[:12]} again asks a person, and promotes nothing by itself."
    assert next_run in back
    done = decide(client, "/review/rollback/digits", to=before)
    assert f"digits went back from {new[:12]} to {before[:12]}. {next_run}" in client.get(done.location).text
    assert champion(house.database) == before
    assert decide(client, "/review/rollback/digits", to="pipeline").status_code == 303
    assert champion(house.database) is None
    assert "nothing to go back to" in client.get("/review/rollback/digits").text
    with house.database.transaction() as conn:
        signed = [(p.by, p.why) for p in versions.promotions(conn, "digits")]
    assert signed[:3] == [("mira", "by hand"), ("mira", "by hand"), ("mira", "looked at the eights")]


def test_what_the_gate_refused_is_promoted_only_behind_a_second_step_that_begins_with_its_figures(
    house: House, judged: UUID
) -> None:
    client = house.logged_in()
    scores = {"passed": False, "holdout": 9, "champion": Accuracy.of(5, 9).as_json(),
              "challenger": Accuracy.of(4, 9).as_json()}  # fmt: skip
    with house.database.transaction() as conn:
        conn.execute(
            "update retrain_runs set status = 'refused', reasons = array['not better: refused'], scores = scores || %s"
            " where id = %s",
            (Jsonb(scores), judged),
        )
        version = run_report(conn, judged)["challenger"]["version"]
        conn.execute("update model_versions set stage = 'refused' where id = %s", (version,))
    for path in (f"runs/{judged}", f"versions/{version}"):
        page = client.get(f"/review/{path}").text
        before, _, behind = page.partition('<details class="second">')
        assert f"/review/promote/{version}" not in before
        link = re.search(rf'<a class="button quiet" href="/review/promote/{version}">([^<]+)</a>', behind)
        assert link is not None
        assert link[1] == "Promote although the gate refused it"
    look = client.get(f"/review/promote/{version}").text
    main = look.partition("<main")[2]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main.partition(">")[2])).strip()
    said = f"Promote version {version[:12]} although the gate refused it? "
    measured = "accuracy 44.4 % (4 of 9), the champion 55.6 % (5 of 9)"
    assert words.startswith(f"{said}The gate refused it: {measured}. Not better: refused.")
    assert ">Promote although the gate refused it</button>" in look
    assert decide(client, f"/review/promote/{version}", why=" ").status_code == 400
    assert decide(client, f"/review/promote/{version}", why="checked by hand").status_code == 303
    assert champion(house.database) == version


def test_a_refusal_names_its_person_and_a_change_of_champion_is_shown(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        run = run_report(conn, judged)
    assert decide(client, f"/review/refuse/{judged}", why="worse on sevens").status_code == 303
    assert "Promote although mira refused it" in client.get(f"/review/runs/{judged}").text
    assert decide(client, "/review/rollback/digits", to="pipeline").status_code == 303
    look = client.get(f"/review/promote/{run['challenger']['version']}").text
    mine, theirs, n = run["challenger"]["correct"], run["champion"]["correct"], run["held_out"]
    measured = (
        f"accuracy {100 * mine / n:.1f} % ({mine} of {n}), the champion {100 * theirs / n:.1f} % ({theirs} of {n})"
    )
    assert f"mira refused it: {measured}." in look
    assert f"It was judged against {run['champion']['name']}, which is not the champion any more." in look


def test_a_run_that_asks_is_refused_with_a_reason_and_the_champion_stays(house: House, judged: UUID) -> None:
    client = house.logged_in()
    before = champion(house.database)
    path = f"/review/refuse/{judged}"
    without = decide(client, path, why="  ")
    assert without.status_code == 400
    assert "needs a reason" in without.text
    assert decide(client, path, why="worse on sevens").status_code == 303
    page = client.get(f"/review/runs/{judged}").text
    assert "mira decided: refuse" in page
    assert "worse on sevens" in page
    assert client.get(path).status_code == 409
    assert champion(house.database) == before


def test_a_decision_on_an_outdated_page_is_refused(house: House, judged: UUID) -> None:
    client = house.logged_in()
    page = client.get("/review/rollback/digits")
    assert decide(client, "/review/rollback/digits").status_code == 303
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    assert decide(client, f"/review/promote/{version}").status_code == 303
    form = {"csrf": csrf(page), "epoch": "1", "why": "late", "to": "pipeline"}
    late = client.post("/review/rollback/digits", data=form)
    assert late.status_code == 409
    assert "the champion of digits has changed meanwhile: nothing was done" in late.text
    assert champion(house.database) == version
    unsaid = client.post("/review/rollback/digits", data={**form, "epoch": ""})
    assert unsaid.status_code == 409, "a page that does not say what it saw has seen nothing"


def test_a_run_is_asked_for_and_stopped(house: House) -> None:
    client = house.logged_in()
    assert decide(client, "/review/retrain/digits", why="new labels").location == "/review/loops/digits"
    with house.database.transaction() as conn:
        run = runs.latest(conn, "digits", 1)[0]
    assert run.why == "mira: new labels"
    assert f"Run {str(run.id)[:8]} is queued" in client.get("/review/loops/digits").text
    assert decide(client, "/review/retrain/digits").status_code == 303
    assert "A run was open already: it covers this." in client.get("/review/loops/digits").text
    assert decide(client, f"/review/stop/{run.id}").status_code == 303
    page = client.get(f"/review/runs/{run.id}").text
    assert "Stopped by mira" in page
    assert client.get(f"/review/stop/{run.id}").status_code == 409


def test_a_form_that_another_site_sends_changes_nothing(house: House) -> None:
    client = house.logged_in()
    stranger = house.client()
    for token in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": "ü"}, {"csrf": csrf(stranger.get("/review/login"))}):
        answer = client.post("/review/retrain/digits", data={"why": "x", "epoch": "1", **token})
        assert answer.status_code == 400
        assert "nothing was changed" in answer.text
    assert house.client().post("/review/login", data={"token": house.tokens["mira"]}).status_code == 400
    with house.database.transaction() as conn:
        assert len(runs.latest(conn, "digits")) == 2


def test_the_loop_that_needs_somebody_most_comes_first_and_idle_ones_take_a_line(house: House, judged: UUID) -> None:
    with house.database.transaction() as conn:
        for name in ("a-quiet", "b-failed", "c-refused-outputs"):
            submit(conn, digits_spec(name=name), [{"image": "x"}], ["1"])
            conn.execute("update outputs set state = 'pushing' where loop = %s", (name,))
            conn.execute("update outputs set state = 'in_review' where loop = %s", (name,))
        run = runs.request(conn, "b-failed", "a test")
        conn.execute(
            "update retrain_runs set status = 'failed', error = 'no room', finished_at = now() where id = %s", (run,)
        )
        conn.execute(
            "insert into outputs select (jsonb_populate_record(o, jsonb_build_object("
            "'id', gen_random_uuid(), 'key', 'other', 'state', 'quarantined'))).*"
            " from outputs o where loop = 'c-refused-outputs'"
        )
        found = overview_report(conn)["loops"]
    assert [loop["loop"] for loop in found] == ["digits", "b-failed", "c-refused-outputs", "a-quiet"]
    assert [loop["needs_you"][0]["kind"] for loop in found[:3]] == ["decision", "failed", "fault"]
    assert [loop["idle"] for loop in found] == [False, False, False, True]
    page = house.logged_in().get("/review/").text
    cards, _, lines = page.partition('<ul class="idle">')
    assert re.findall(r'aria-labelledby="loop-([^"]+)"', cards) == ["digits", "b-failed", "c-refused-outputs"]
    assert re.findall(r"<li><a [^>]*>([^<]+)</a>", lines) == ["a-quiet"]
    assert "Label Studio refused 1 output" in cards


def test_drift_needs_somebody_until_a_version_is_promoted(house: House, judged: UUID) -> None:
    def kinds() -> list[str]:
        with house.database.transaction() as conn:
            return [need["kind"] for need in overview_report(conn)["loops"][0]["needs_you"]]

    with house.database.transaction() as conn:
        conn.execute(
            "update retrain_runs set why = 'drift: the labels came apart', status = 'refused' where id = %s", (judged,)
        )
    assert "drift" in kinds()
    with house.database.transaction() as conn:
        conn.execute("update retrain_runs set status = 'promoted' where id = %s", (judged,))
    assert "drift" not in kinds()


def test_alerts_are_decided_on_their_page_and_over_http(house: House) -> None:
    ids = alerts(house, 3)
    page = "/review/loops/digits/alerts"
    only_looks = house.logged_in("otto")
    seen = only_looks.get(page)
    assert seen.status_code == 200
    assert "<img src=x" not in seen.text
    assert 'name="id"' not in seen.text
    form = {"csrf": csrf(seen), "id": ids[0], "decision": "accept", "why": "seen"}
    assert only_looks.post(page, data=form).status_code == 403

    client = house.logged_in()
    assert "3 alerts are open" in client.get("/review/").text
    form["csrf"] = csrf(client.get(page))
    for wrong, says in [
        ({"csrf": "x"}, "too old"),
        ({"why": ""}, "needs a reason"),
        ({"id": "one"}, "is not the number of an alert"),
        ({"id": "99"}, "there is no alert 99"),
        ({"decision": "burn"}, "there are: accept, reject, reopen"),
    ]:
        refused = client.post(page, data={**form, **wrong})
        assert refused.status_code == 400
        assert says in refused.text
    assert client.post(page, data=form).status_code == 303
    assert client.post(page, data=form).status_code == 409
    assert "accepted by mira: seen" in client.get(f"{page}?state=all").text
    told = client.get("/v1/review/loops/digits/alerts", headers=house.bearer()).get_json()
    assert (told["open"], told["people"]) == (2, [{"person": XSS, "open": 2}])
    body = {"decision": "reject", "person": XSS, "why": "no"}
    done = client.post("/v1/review/loops/digits/alerts", json=body, headers=house.bearer()).get_json()
    assert done == {"done": "2 alerts are rejected now."}
    with house.database.transaction() as conn:
        jobs = conn.execute("select count(*) as n from procrastinate_jobs where task_name = 'sync.pull'").fetchone()
    assert jobs == {"n": 1}, "the worker computes the answers again"


def test_the_page_of_alerts_can_be_used_on_a_screen_and_on_a_phone(desk: Desk) -> None:
    alerts(desk, 2)
    for viewport in (LAPTOP, PHONE):
        with desk.page(viewport) as page:
            desk.log_in(page, "/review/loops/digits/alerts")
            page.get_by_label("Alert 1").check()
            check_tables_are_whole(page)
            check(page)
    assert not desk.strays


def alerts(at: House | Desk, n: int) -> list[str]:
    """Open alerts of digits about edits by a person with a dangerous name; return their ids."""
    with at.database.transaction() as conn:
        found = [
            rows.open_(
                conn,
                "digits",
                Found(
                    AlertKind.EDITED, f"edit {i}", UUID(int=1), annotation_id=AnnotationId(i), task_id=TaskId(i),
                    person_id=UserId(7), person=XSS, before="3", after="8",
                ),
            )
            for i in range(n)
        ]  # fmt: skip
    return [str(id_) for id_ in found]
