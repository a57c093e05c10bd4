"""From the intake over answers to a certificate, and to outputs that pass unseen until it ends or is revoked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.train.certify import revoke
from console.cli import main
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from labelloop.store.promises import certificates
from labelloop.store.tables import loops, runs
from tests.support.hops.accepting_desk import YAML, AcceptingDesk, certified


@pytest.fixture
def desk(database: Database) -> AcceptingDesk:
    return AcceptingDesk(database)


def test_until_there_is_a_certificate_everything_goes_to_people(desk: AcceptingDesk) -> None:
    desk.send("a", 100)
    assert desk.certify() is None
    assert desk.states("a") == {"waiting": 100}
    assert {row["lane"] for row in desk.sql("select distinct lane::text as lane from outputs")} == {
        "rule", "holdout", "audit"
    }  # fmt: skip


def test_a_loop_lives_through_a_certificate(desk: AcceptingDesk) -> None:
    with desk.database.transaction() as conn:
        events = ["output.accepted", "certificate.withdrawn", "output.answered"]
        registered.add(conn, None, "https://8.8.8.8/", events, None)
    made = certified(desk)
    threshold = made.thresholds["*"]
    assert (made.labeller, made.version, made.error, made.confidence) == ("pipeline", "m1", 0.05, 0.95)
    assert made.answers == 444

    # what waited passes too, and nothing that chance or the trigger sends
    unseen = desk.sql(
        "select o.lane::text as lane, o.triggered, x.* from accepted x join outputs o on o.id = output_id"
    )
    assert unseen
    assert {(row["lane"], row["triggered"]) for row in unseen} == {("rule", False)}
    assert all(row["confidence"] >= threshold for row in unseen)

    # new outputs pass at the intake
    said = desk.send("b", 200, confidences=[0.4 if i % 4 == 0 else 0.999 for i in range(200)])
    accepted = {one["key"] for one in said if one["state"] == "accepted"}
    rest = desk.sql("select key, lane::text as lane, triggered from outputs where key like 'b-%' order by key")
    assert accepted == {row["key"] for row in rest if row["lane"] == "rule" and not row["triggered"]}
    assert 10 < len(accepted) < 80
    one = min(accepted)
    status = desk.status(one)
    assert (status["state"], status["settled"], status["will_be_asked"]) == ("accepted", True, False)
    assert (status["label"], status["reviewers"]) == (None, 0), "nobody said so"
    assert status["accepted"]["label"] == status["model_label"]
    assert status["accepted"]["certificate"] == str(made.id)
    closed = desk.ask("POST", f"/v1/loops/pets/outputs/{one}/outcome", json={"fallback": "eel"})
    assert (closed.json["outcome"]["kind"], closed.json["outcome"]["value"]) == ("accepted", status["model_label"])
    told = desk.sql("select event, fact from deliveries where event = 'output.accepted'")
    assert one in {row["fact"]["key"] for row in told}

    # another model: nothing passes, and the certificate says why
    said = desk.send("c", 50, version="m2", confidences=[0.999] * 50)
    assert {one["state"] for one in said} == {"waiting"}
    [row] = desk.certificates()
    assert row["ended_because"] == "an output of model version 'm2' came in; it was made for 'm1'"
    [event] = desk.sql("select fact from deliveries where event = 'certificate.withdrawn'")
    assert event["fact"]["certificate"] == str(made.id)
    assert event["fact"]["why"] == row["ended_because"]
    assert desk.certify() is None, "the answers were about m1"

    # a person revokes it: all that it accepted goes back to people
    before = desk.sql("select count(*) as n from outputs where state = 'accepted'")[0]["n"]
    with desk.database.transaction() as conn:
        assert revoke(conn, desk.spec, made, "ada", "the cats were dogs") == before
        assert revoke(conn, desk.spec, made, "ada", "again") is None
    assert desk.sql("select count(*) as n from outputs where state = 'accepted'")[0]["n"] == 0
    status = desk.status(one)
    assert (status["state"], status["settled"]) == ("waiting", False)
    assert status["accepted"]["revoked_at"] is not None
    assert status["outcome"]["kind"] == "accepted", "the hold has ended, once for ever"
    trail = desk.sql(
        f"select was::text, became::text, reason from output_events e join outputs o on o.id = output_id"
        f" where key = '{one}' order by e.seq"
    )
    short = str(made.id)[:8]
    assert [(row["became"], row["reason"]) for row in trail] == [
        ("accepted", f"passed unseen by certificate {short}"),
        ("waiting", f"certificate {short} was revoked: the cats were dogs"),
    ]
    [pooled] = desk.sql(f"select p.lane::text as lane from pool p where key = '{one}'")
    assert pooled["lane"] == "rule"
    [again] = desk.sql(
        "select fact from deliveries where event = 'certificate.withdrawn' and fact ->> 'revoked' = 'true'"
    )
    assert (again["fact"]["revoked_by"], again["fact"]["accepted"]) == ("ada", before)

    # the model comes back, but its old answers count no more, and nothing is accepted twice
    desk.send("d", 1, confidences=[0.999])
    assert desk.certify() is None


def test_revoking_ends_later_certificates_on_the_same_answers(desk: AcceptingDesk) -> None:
    """Another model's output ends the certificate, and then the same answers make a second one."""
    first = certified(desk)
    desk.send("b", 1, version="m2")
    desk.send("c", 100, confidences=[0.999] * 100)
    second = desk.certify()
    assert second is not None
    assert second.id != first.id
    passed = desk.sql("select certificate_id as id from accepted")
    assert {row["id"] for row in passed} == {first.id, second.id}
    with desk.database.transaction() as conn:
        registered.add(conn, None, "https://8.8.8.8/", ["certificate.withdrawn"], None)
        assert revoke(conn, desk.spec, first, "olga", "wrong guide") == len(passed)
        assert certificates.in_force(conn, "pets") is None
    rows = desk.certificates()
    assert [(row["revoked_by"], row["revoked_because"]) for row in rows] == [("olga", "wrong guide")] * 2
    assert rows[1]["ended_because"] == "revoked: wrong guide"
    assert desk.sql("select id from outputs where state = 'accepted'") == []
    told = desk.sql("select fact from deliveries where event = 'certificate.withdrawn'")
    assert {(row["fact"]["certificate"], row["fact"]["why"]) for row in told} == {
        (str(first.id), "an output of model version 'm2' came in; it was made for 'm1'"),
        (str(second.id), "revoked: wrong guide"),
    }
    assert desk.certify() is None, "the answers count no more"


def test_revoking_the_later_certificate_leaves_what_the_earlier_one_let_pass(desk: AcceptingDesk) -> None:
    first = certified(desk)
    desk.send("b", 1, version="m2")
    desk.send("c", 100, confidences=[0.999] * 100)
    second = desk.certify()
    assert second is not None
    with desk.database.transaction() as conn:
        assert revoke(conn, desk.spec, second, "olga", "too bold")
    left = desk.sql("select certificate_id as id from accepted where revoked_at is null")
    assert {row["id"] for row in left} == {first.id}


def test_accepted_outputs_are_no_answers_and_train_nothing(desk: AcceptingDesk) -> None:
    certified(desk)
    unseen = desk.sql("select output_id from accepted")
    assert unseen
    for table in ("answers", "feedback"):
        column = "output_id" if table == "answers" else "model_output_id"
        found = desk.sql(f"select count(*) as n from {table} where {column} in (select output_id from accepted)")
        assert found[0]["n"] == 0


def test_a_person_can_still_answer_an_accepted_output_and_take_it_back(desk: AcceptingDesk) -> None:
    certified(desk)
    [row] = desk.sql("select o.key, o.label from accepted x join outputs o on o.id = output_id order by o.key limit 1")
    other = "dog" if row["label"] != "dog" else "cat"
    assert desk.give(row["key"], "anna", False, correction=other).json["state"] == "answered"
    status = desk.status(row["key"])
    assert (status["label"], status["accepted"]["label"]) == (other, row["label"])
    said = desk.ask("DELETE", "/v1/loops/pets/feedback", query_string={"key": row["key"], "reviewer_id": "anna"})
    assert said.json["state"] == "accepted"


def test_the_database_refuses_to_accept_what_chance_or_the_trigger_sends(desk: AcceptingDesk) -> None:
    made = certified(desk)
    [row] = desk.sql("select id from outputs where lane = 'holdout' limit 1")
    with (
        pytest.raises(Exception, match="chance or the trigger sends it to people"),
        desk.database.transaction() as conn,
    ):
        conn.execute(
            "insert into accepted (output_id, certificate_id, loop, label, confidence, utility)"
            " values (%s, %s, 'pets', 'cat', 1, 0)",
            [row["id"], made.id],
        )


def test_a_model_that_is_wrong_too_often_gets_no_certificate(desk: AcceptingDesk) -> None:
    desk.send("a", 700)
    chosen = desk.chosen()
    desk.people_say(chosen, wrong=range(0, len(chosen), 12))
    assert desk.certify() is None
    assert desk.states("a").get("accepted") is None


def test_new_answers_that_contradict_the_promise_end_it_for_good(desk: AcceptingDesk) -> None:
    certified(desk)
    desk.send("b", 100, confidences=[0.999] * 100)
    chosen = desk.chosen("b")
    desk.people_say(chosen, wrong=range(0, len(chosen), 4))
    assert desk.certify() is None
    [row] = desk.certificates()
    assert (
        "answers to outputs that came since it was made say incorrect; it promised at most 5 %" in row["ended_because"]
    )
    assert desk.certify() is None, "the answers before count no more"
    assert "accepted" not in {one["state"] for one in desk.send("c", 50, confidences=[0.999] * 50)}


@pytest.mark.parametrize("changes", [{"trigger": "model_confidence < 0.6"}, {"accept": None}, {"promise": True}])
def test_another_promise_or_trigger_ends_it_at_the_next_output(desk: AcceptingDesk, changes: dict[str, object]) -> None:
    certified(desk)
    if changes.pop("promise", None):
        changes["accept"] = desk.promise(error=0.01)

    desk.spec = desk.spec.model_copy(update=changes)
    with desk.database.transaction() as conn:
        loops.register(conn, desk.spec)
    said = desk.send("b", 50, confidences=[0.999] * 50)
    assert "accepted" not in {one["state"] for one in said}
    assert desk.certify() is None
    [row] = desk.certificates()
    assert row["ended_because"] in (certificates.CHANGED, "`accept` was taken out of loop.yaml")


def test_a_promotion_ends_the_certificate_in_its_own_transaction(desk: AcceptingDesk) -> None:
    made = certified(desk)
    version = "ab" * 32
    with desk.database.transaction() as conn:
        conn.execute(
            "insert into model_versions (id, loop, stage, learner, classes, size_bytes, trained_on)"
            " values (%s, 'pets', 'champion', 'text', '{cat,dog,eel}', 1, 1)",
            [version],
        )
        conn.execute(
            "insert into promotions (loop, epoch, version_id, by, why) values ('pets', 1, %s, 'ada', 'better')",
            [version],
        )
        now = certificates.in_force(conn, "pets")
    assert now is None
    [row] = desk.certificates()
    assert (row["id"], row["ended_because"]) == (made.id, "version abababab became champion")
    assert "accepted" not in {one["state"] for one in desk.send("b", 50, confidences=[0.999] * 50)}


def test_drift_ends_it_and_the_old_answers_count_no_more(desk: AcceptingDesk) -> None:
    """People's answers say that the pipeline became worse, also where nothing would pass unseen."""
    certified(desk)
    with desk.database.transaction() as conn:
        runs.request(conn, "pets", "a test")
        run = runs.claim(conn, "pets", None)
        assert run is not None
        conn.execute(
            """
            insert into run_items
                (run_id, output_id, part, holdout, answer_seq, label, champion_label, challenger_label)
            select %(run)s, o.id, 'holdout', true, a.seq, a.label, o.label, o.label
            from outputs o join answers a on a.output_id = o.id where o.holdout
            """,
            {"run": run.id},
        )
        assert runs.finish(conn, run.id, "refused", scores={"holdout": 1})
    assert desk.certify() is not None, "nothing has drifted yet"
    desk.send("b", 150, confidences=[0.55] * 150)
    chosen = desk.chosen("b")
    desk.people_say(chosen, wrong=range(0, len(chosen), 2))
    assert desk.certify() is None
    [row] = desk.certificates()
    assert row["ended_because"].startswith("drift: the pipeline's outputs were correct on")
    [test] = desk.sql("select closed_at, closed_because from promise_tests")
    assert test["closed_because"] == row["ended_because"]
    assert desk.certify() is None
    assert "accepted" not in {one["state"] for one in desk.send("c", 50, confidences=[0.999] * 50)}


def test_a_backtest_says_what_passed_by_a_certificate_and_what_one_may_cover(
    desk: AcceptingDesk, tmp_path: Path
) -> None:
    certified(desk)
    passed = desk.states("a")["accepted"]
    rule = tmp_path / "changed.yaml"
    rule.write_text(YAML.replace("< 0.5", "< 0.9"))
    env = {"LABELLOOP_DATABASE_URL": desk.database.url, "LABELLOOP_DATA_DIR": str(tmp_path)}
    words = CliRunner().invoke(main, ["backtest", "--spec", str(rule)], env=env).stdout
    told = json.loads(CliRunner().invoke(main, ["backtest", "--spec", str(rule), "--json"], env=env).stdout)
    chance = len(desk.sql("select id from outputs where lane <> 'rule' and confidence >= 0.9"))
    sure = sum(confidence >= 0.9 for confidence in desk.confidences.values())
    assert passed > 0
    assert told["accepted"] == {"was": passed, "would": sure - chance}
    assert f"{passed} of those that were asked passed unseen by a certificate." in words
    assert (
        f"{sure - chance} of those that would be asked are asked only as long as no certificate covers them." in words
    )
    rule.write_text(YAML.replace("  accept: {error: 0.05, confidence: 0.95}\n", ""))
    told = json.loads(CliRunner().invoke(main, ["backtest", "--spec", str(rule), "--json"], env=env).stdout)
    assert told["accepted"] == {"was": passed, "would": 0}
