"""With `accept: {teach: true}`, a version is also trained on what passed unseen with the pipeline's label."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.decide.shadow import _apply as decide_in_shadow
from backend.report.estimates.ended import ended_promises
from backend.score.prelabel import prelabel
from backend.train.beside import ONE_PERSON
from backend.train.certify import revoke
from backend.train.replay import train_again
from backend.train.retrain import _pass
from backend.train.train import train
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.promises import certificates, taught, trials
from labelloop.store.questions import lineage
from labelloop.store.tables import loops, runs, versions
from labelloop.versions.runs import RunStatus
from tests.support.backend_factory import answer, new_champion
from tests.support.hops.accepting_desk import YAML
from tests.support.hops.teaching_desk import LEARNER, TEACH, TeachingDesk

WITHOUT = parse("pets", YAML + LEARNER)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> TeachingDesk:
    return TeachingDesk(database, tmp_path / "models")


def test_a_version_is_trained_on_what_passed_unseen_apart_from_peoples_answers(desk: TeachingDesk) -> None:
    desk.certified()
    desk.send("b", 700)
    found = desk.run()
    rows = desk.beside(found["run"])
    answers = desk.sql(f"select part, weight, output_id from run_items where run_id = '{found['run']}'")
    trained = [row for row in answers if row["part"] == "train"]
    passed = desk.sql("select output_id from accepted")
    assert found["accepted"] == {"trained_on": len(rows), "of": len(passed)}
    assert 20 < len(rows) <= len(trained) == found["trained_on"]
    assert {(row["lane"], row["holdout"], row["state"]) for row in rows} == {("rule", False, "accepted")}
    assert all(row["label"] == desk.said[row["key"]] for row in rows)
    assert {round(row["weight"], 4) for row in rows} == {round(0.95 * ONE_PERSON, 4)}
    assert max(row["weight"] for row in rows) < min(row["weight"] for row in trained)
    assert not {row["id"] for row in rows} & {row["output_id"] for row in answers}, "an answer or an accepted output"
    note = found["notes"][0]
    assert note.startswith(f"also trained on {len(rows)} of {len(passed)} outputs that passed unseen")
    with desk.database.transaction() as conn:
        version = versions.get(conn, found["version"])
        assert version is not None
        assert (version.trained_on, version.accepted) == (len(trained), len(rows))
        assert lineage.counts(conn, version.id).answers == len(trained), "no answer of a person is claimed"
    again = train_again(desk.database, desk.folder, found["run"], 1)
    assert (again["version"], again["identity"]["data_sha256"]) == (
        found["version"], found["identity"]["data_sha256"]
    )  # fmt: skip


def test_it_teaches_only_where_it_is_asked_for_and_asking_ends_no_certificate(desk: TeachingDesk) -> None:
    with desk.database.transaction() as conn:
        loops.register(conn, WITHOUT)
    desk.spec = WITHOUT
    made = desk.certified()
    found = desk.run()
    assert (found["accepted"], desk.beside(found["run"])) == (None, [])
    assert not any("passed unseen" in note for note in found["notes"])
    with desk.database.transaction() as conn:
        loops.register(conn, TEACH)
    desk.spec = TEACH
    assert desk.certify() == made
    assert desk.beside(desk.run()["run"])


def test_an_accepted_output_weighs_less_than_an_answer_that_people_differ_about(desk: TeachingDesk) -> None:
    desk.certified()
    desk.sql(
        "update answers set agreement = 0.6, reviewers = 5 where seq = (select max(seq) from answers a"
        " join outputs o on o.id = a.output_id where not o.holdout) returning seq"
    )
    found = desk.run()
    [least] = desk.sql(f"select min(weight) as weight from run_items where run_id = '{found['run']}'")
    assert least["weight"] < 0.95 * ONE_PERSON
    [weight] = {row["weight"] for row in desk.beside(found["run"])}
    assert weight == pytest.approx(0.95 * least["weight"])


def test_at_most_as_many_as_answers_are_drawn_always_the_same_ones(desk: TeachingDesk) -> None:
    desk.certified()
    desk.send("b", 900)
    first, second = (desk.beside(desk.run()["run"]) for _ in range(2))
    assert first == second
    keys = [row["key"] for row in first]
    assert any(key.startswith("a-") for key in keys)
    assert any(key.startswith("b-") for key in keys)


@pytest.mark.parametrize(
    ("how", "teaches"),
    [("revoked", False), ("worse", False), ("another model", True), ("promise", False), ("narrower", None)],
)
def test_a_certificate_that_is_revoked_or_doubtful_takes_all_of_its_outputs_out(
    desk: TeachingDesk, how: str, teaches: bool | None
) -> None:
    made = desk.certified()
    before = desk.beside(desk.run()["run"])
    assert len(before) > 20
    if how == "revoked":
        with desk.database.transaction() as conn:
            revoke(conn, desk.spec, made, "ada", "the guide was wrong")
    elif how == "worse":
        desk.send("b", 300)
        chosen = desk.chosen("b")
        desk.people_say(chosen, range(0, len(chosen), 3))
        assert desk.certify() is None
    elif how == "another model":
        desk.send("b", 1, version="m2")
        assert [row["succeeded"] for row in desk.certificates()] == [True]
    elif how == "promise":
        desk.spec = parse("pets", YAML.replace("error: 0.05, confidence: 0.95}", "error: 0.04, teach: true}") + LEARNER)
        with desk.database.transaction() as conn:
            loops.register(conn, desk.spec)
    else:
        least = sorted(desk.confidences[row["key"]] for row in before)[len(before) // 2]
        desk.sql(f"update certificates set thresholds = '{{\"*\": {least}}}' returning id")
    found = desk.run()
    after = desk.beside(found["run"])
    if teaches is None:
        assert 0 < len(after) < len(before)
        assert all(desk.confidences[row["key"]] >= least for row in after)
    else:
        assert after == (before if teaches else [])
        assert teaches or found["notes"][0].startswith("no accepted output trained it")


def test_what_a_person_answers_later_is_an_answer_and_no_accepted_output(desk: TeachingDesk) -> None:
    desk.certified()
    [first, *rest] = desk.beside(desk.run()["run"])
    with desk.database.transaction() as conn:
        answer(conn, "pets", {first["id"]: "dog"})
    found = desk.run()
    assert first["key"] not in {row["key"] for row in desk.beside(found["run"])}
    [own] = desk.sql(
        f"select part, label from run_items where run_id = '{found['run']}' and output_id = '{first['id']}'"
    )
    assert own == {"part": "train", "label": "dog"}
    assert rest


def test_a_champion_is_not_taught_its_own_labels_and_the_pipelines_still_teach(
    desk: TeachingDesk, tmp_path: Path
) -> None:
    desk.certified()
    theirs = {row["id"] for row in desk.sql("select output_id as id from accepted")}
    new_champion(desk.database, "pets", desk.folder)
    [ended] = desk.certificates()
    assert ended["succeeded"], "a promotion ended it"
    desk.send("b", 1500)
    desk.people_say(desk.chosen("b"))
    made = desk.certify()
    assert made is not None
    assert made.labeller == "champion"
    prelabel(desk.database, "pets", desk.folder)
    own = {row["id"] for row in desk.sql(f"select output_id as id from accepted where certificate_id = '{made.id}'")}
    assert own
    beside = {row["id"] for row in desk.beside(desk.run()["run"])}
    assert beside
    assert beside <= theirs


def test_a_champion_whose_accepted_outputs_were_revoked_needs_a_person(desk: TeachingDesk) -> None:
    made = desk.certified()
    new_champion(desk.database, "pets", desk.folder)
    with desk.database.transaction() as conn:
        champion = versions.champion(conn, "pets")
        assert champion is not None
        assert not any("was trained on" in what for what in ended_promises(conn, desk.spec, None))
        revoke(conn, desk.spec, made, "ada", "the guide was wrong")
        [*_, what] = ended_promises(conn, desk.spec, None)
    n = champion.accepted
    assert n > 20
    assert what.startswith(
        f"the champion was trained on {n} of {n} outputs that passed unseen by a certificate that was"
    )


def test_what_a_withdrawn_certificate_had_confirmed_teaches_no_more_under_a_later_one(desk: TeachingDesk) -> None:
    """The certificates of one test: replaced by a second one, which the newest answers do not support, and a third."""
    first = desk.certified()
    version = desk.run()["version"]
    with desk.database.transaction() as conn:
        test = trials.open_(conn, "pets", first.of, first.basis)
        assert test is not None
        certificates.end(conn, first.id, "renewed", replaced=True)
        second = certificates.make(conn, test, first.error, first.confidence, first.thresholds, 667)
        assert taught.no_longer_standing(conn, version) == 0
        assert taught.teachable(conn, "pets", first.basis, datetime.now(UTC), 1000).rows
        certificates.end(conn, second.id, "the newest answers do not support it")
        certificates.make(conn, test, first.error, first.confidence, first.thresholds, 1000)
        assert taught.no_longer_standing(conn, version) > 20
        assert not taught.teachable(conn, "pets", first.basis, datetime.now(UTC), 1000).rows


@pytest.mark.parametrize("shadow", [False, True])
def test_a_version_whose_accepted_outputs_were_revoked_is_promoted_by_a_person_only(
    desk: TeachingDesk, shadow: bool
) -> None:
    made = desk.certified()
    with desk.database.transaction() as conn:
        runs.request(conn, "pets", "a test")
        run = runs.claim(conn, "pets", None)
    assert run is not None
    found = train(desk.database, desk.folder, run.id)
    if shadow:
        desk.sql(
            f"update retrain_runs set status = 'shadow', finished_at = now(), version_id = '{found['version']}'"
            f" where id = '{run.id}' returning id"
        )
    with desk.database.transaction() as conn:
        revoke(conn, desk.spec, made, "ada", "the guide was wrong")
        if shadow and (waits := runs.get(conn, run.id)):
            decide_in_shadow(conn, desk.spec, waits, True, ["it is ahead"], {})
    if not shadow:
        _pass(desk.database, desk.spec, run, 0, reasons=["it is ahead"], version_id=found["version"], scores={})
    with desk.database.transaction() as conn:
        ended = runs.get(conn, run.id)
        assert versions.champion(conn, "pets") is None
    assert ended is not None
    assert ended.status == RunStatus.ASKING
    assert ended.reasons[0] == (
        f"it is ahead, if a person decides so, because it was trained on {found['accepted']['trained_on']} outputs "
        "that passed unseen by a certificate that was revoked or withdrawn since"
    )


def test_a_version_that_is_judged_again_keeps_its_accepted_outputs(desk: TeachingDesk) -> None:
    desk.certified()
    found = desk.run()
    with desk.database.transaction() as conn:
        again = runs.request_again(conn, "pets", found["run"], "once more", seed=0)
        assert runs.claim(conn, "pets", None) is not None
    assert again is not None
    assert train(desk.database, desk.folder, again)["version"] == found["version"]
    assert desk.beside(again) == desk.beside(found["run"])
