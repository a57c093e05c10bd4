"""The threshold report says what may pass unseen, and which answers are missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.report.estimates.threshold import threshold_report
from console.cli import main
from labelloop.errors import UsageError
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.hops.accepting_desk import SPEC, AcceptingDesk


@pytest.fixture
def desk(database: Database) -> AcceptingDesk:
    return AcceptingDesk(database)


def run(desk: AcceptingDesk, folder: Path, *words: str, by: str | None = "ada") -> Result:
    env = {"LABELLOOP_DATABASE_URL": desk.database.url, "LABELLOOP_DATA_DIR": str(folder), "LABELLOOP_BY": by}
    return CliRunner().invoke(main, ["report", "threshold", *words], env={**env, "USER": by})


def said(desk: AcceptingDesk, by: str | None = None) -> str:
    with desk.database.transaction() as conn:
        return "\n".join(threshold_report(conn, "pets", by)["sentences"])


def test_the_report_says_what_is_missing_and_then_what_passes(desk: AcceptingDesk, tmp_path: Path) -> None:
    assert "No output has come in yet." in said(desk)
    desk.send("a", 700)
    text = said(desk)
    assert "No certificate is in force: nothing passes unseen, and everything goes to people." in text
    assert "0 answers count. They are about outputs of model version 'm1' of the pipeline" in text
    assert "more answers that chance chooses are needed, if " in text
    assert "The test would now begin at " in text
    assert "This is the loop's first test. It may use 60.8 % of the chance of error" in text
    chosen = desk.chosen()
    for upto in (1, 50):
        desk.people_say(chosen[:upto] if upto == 1 else chosen[1:upto])
        assert f"{upto} answer" in said(desk)
        assert desk.certify() is None
    desk.people_say(chosen[50:], wrong=range(0, len(chosen), 200))
    assert "The answers support a certificate now" in said(desk)

    printed = run(desk, tmp_path, "--certify", "--json")
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.stdout)
    assert found["certificate"]["labeller"] == "pipeline"
    [curve] = found["curves"]
    assert curve["threshold"] == found["certificate"]["thresholds"]["*"]
    assert [point["share"] for point in curve["points"]] == sorted(point["share"] for point in curve["points"])
    for point in curve["points"]:
        assert point["low"] <= point["error"] <= point["high"]
    assert curve["points"][-1]["answers"] == found["answers"]
    text = run(desk, tmp_path).stdout
    assert f"Certificate {found['certificate']['name']} is in force since" in text
    assert "The next look comes after" in text
    assert "confidence from, %" in text
    assert "yes" in text


def test_before_any_output_at_least_as_many_are_named_as_the_test_takes(desk: AcceptingDesk, tmp_path: Path) -> None:
    """59 is the first look, which cannot succeed."""
    desk.send("a", 500, confidences=[1.0] * 500)
    desk.people_say(desk.chosen()[:60])
    made = desk.certify()
    assert made is None
    with desk.database.transaction() as conn:
        found = threshold_report(conn, "pets")
    assert found["needed"][0] == {"truth": 0.0, "answers": 59, "own_test": 198}
    desk.post({"key": "n", "data": {"text": "x"}, "label": "cat", "model_version": "m2"})
    assert "At least 198 answers that chance chooses would do, and only if none of them is incorrect." in said(desk)
    text = run(desk, tmp_path).stdout
    assert "no curve: no output with a confidence came in that counts" in text
    assert "\nnone\n" not in text
    assert "3.75                1,810     3,375" in text


def test_the_report_says_where_the_test_begins_and_when_it_looks(desk: AcceptingDesk, tmp_path: Path) -> None:
    desk.send("a", 900, confidences=[0.6 + 0.399 * (i * 37 % 900 / 900) for i in range(900)])
    desk.people_say(desk.chosen()[:453])
    assert desk.certify() is None
    found = json.loads(run(desk, tmp_path, "--json").stdout)
    [curve] = found["curves"]
    assert (found["answers"], found["next_look"], found["begun"]) == (453, 667, True)
    assert curve["likely_at"] == 453 + curve["missing"]
    assert 0 < curve["above"]["answers"] < 453
    assert curve["above"]["incorrect"] == 0
    [said_] = [line for line in found["sentences"] if line.startswith("The test begins at")]
    assert f"The test begins at {100 * curve['begins_at']:.2f} % confidence and goes down to" in said_
    assert f"{curve['above']['answers']} of the answers, 0 of them incorrect." in said_
    assert "The next look is at 667 answers, after 214 more, and" in said_ or "only at" in said_
    text = run(desk, tmp_path).stdout
    assert " no\n" in text


def test_no_look_is_promised_to_let_more_pass_where_all_passes(desk: AcceptingDesk) -> None:
    desk.send("a", 700, confidences=[0.999] * 700)
    desk.people_say(desk.chosen())
    assert desk.certify() is not None
    text = said(desk)
    assert "100.0 % of the outputs that the trigger does not send are at or above the threshold." in text
    assert "that look cannot let more pass" in text
    assert "It may let more pass" not in text


def test_revoking_needs_a_reason_and_a_certificate_that_exists(desk: AcceptingDesk, tmp_path: Path) -> None:
    desk.send("a", 700)
    desk.people_say(desk.chosen())
    made = desk.certify()
    assert made is not None
    assert "--revoke and --why belong together" in run(desk, tmp_path, "--revoke", "ab").stderr
    wrong = run(desk, tmp_path, "--revoke", "zz", "--why", "x")
    assert (wrong.exit_code, f"there are: {str(made.id)[:8]}" in wrong.stderr) == (2, True)
    done = run(desk, tmp_path, "--revoke", str(made.id)[:8], "--why", "the labels were swapped")
    assert done.exit_code == 0, done.output
    assert "outputs go back to people." in done.stderr
    assert "nothing passes unseen" in done.stdout
    assert "ended: revoked: the labels were swapped" in done.stdout
    assert "UTC count: then an earlier certificate of this model was revoked or withdrawn." in done.stdout
    assert json.loads(run(desk, tmp_path, "--json").stdout)["since"] is not None
    again = run(desk, tmp_path, "--revoke", str(made.id)[:8], "--why", "again")
    assert (again.exit_code, "was revoked already, by ada" in again.stderr) == (2, True)


def test_the_name_of_the_person_is_given_as_in_other_decisions(desk: AcceptingDesk, tmp_path: Path) -> None:
    """A container has no login name; the advice names an option that the command has."""
    desk.send("a", 700)
    desk.people_say(desk.chosen())
    made = desk.certify()
    assert made is not None
    words = ("--revoke", str(made.id)[:8], "--why", "wrong guide")
    nameless = run(desk, tmp_path, *words, by=None)
    assert (nameless.exit_code, "give --by NAME or set LABELLOOP_BY" in nameless.stderr) == (2, True)
    assert "belongs to --revoke; --by-label shows each label" in run(desk, tmp_path, "--by", "label").stderr
    done = run(desk, tmp_path, *words, "--by", "olga", by=None)
    assert done.exit_code == 0, done.output
    assert [row["revoked_by"] for row in desk.certificates()] == ["olga"]
    assert "label cat" in run(desk, tmp_path, "--by-label", by=None).stdout


def test_a_loop_without_a_promise_sees_what_one_would_do(database: Database) -> None:
    desk = AcceptingDesk(database, of=SPEC.model_copy(update={"accept": None}))
    desk.send("a", 300)
    desk.people_say(desk.chosen())
    text = said(desk)
    assert text.startswith("loop.yaml has no `accept`")
    assert "No certificate is in force" not in text
    assert "passed" in desk.states("a"), "without a promise the rest passes, as before"
    with database.transaction() as conn, pytest.raises(UsageError, match="no loop 'cats'"):
        threshold_report(conn, "cats")


def test_outputs_without_a_model_version_get_none_and_it_says_why(desk: AcceptingDesk) -> None:
    desk.send("a", 300, version="")
    desk.people_say(desk.chosen())
    assert desk.certify() is None
    assert "There cannot be one: the pipeline's outputs name no model_version" in said(desk)


def test_outputs_without_confidence_go_to_people_and_it_says_so(desk: AcceptingDesk) -> None:
    lines = [{"key": f"n-{i}", "data": {"text": "x"}, "label": "cat", "model_version": "m1"} for i in range(30)]
    desk.post(*lines)
    assert desk.states("n") == {"waiting": 30}
    assert desk.certify() is None
    assert "30 of the newest 30 outputs have no label or no confidence. These always go to people." in said(desk)


def test_by_label_a_planted_class_never_passes(database: Database) -> None:
    """30 % of the eels are wrong at high confidence; with 1 % of all the rest, they would drown in one promise."""
    assert SPEC.accept is not None
    by_label = SPEC.accept.model_copy(update={"by": "label", "error": 0.1})
    desk = AcceptingDesk(database, of=SPEC.model_copy(update={"accept": by_label}))
    desk.send("a", 1500, confidences=[0.99 + 0.00001 * (i % 900) for i in range(1500)])
    chosen = desk.chosen()
    eels = [i for i, (_, key) in enumerate(chosen) if desk.said[key] == "eel"]
    desk.people_say(chosen, wrong=[i for place, i in enumerate(eels) if place % 10 < 3])
    made = desk.certify()
    assert made is not None
    assert set(made.thresholds) == {"cat", "dog"}
    labels = desk.sql("select distinct label from accepted")
    assert {row["label"] for row in labels} == {"cat", "dog"}
    assert "Nothing labelled eel passes. The test begins at " in said(desk)
    assert "More answers alone will not do" in said(desk)


def test_a_stricter_trigger_sends_more_and_nothing_less(database: Database) -> None:
    """For any outputs: what people see with a bolder trigger they see with a stricter one too."""
    desk = AcceptingDesk(database)
    desk.send("a", 700)
    desk.people_say(desk.chosen())
    made = desk.certify()
    assert made is not None
    from labelloop.outputs.output import Output
    from labelloop.queue.lanes import Lane, place

    threshold = made.thresholds["*"]
    strict = desk.spec.model_copy(update={"trigger": "model_confidence < 0.5 or label == 'cat'"})

    def seen(output: Output, spec: object) -> bool:
        placed = place(output, spec)  # type: ignore[arg-type]
        return placed.lane != Lane.RULE or bool(placed.triggered) or (placed.confidence or 0) < threshold

    for i in range(500):
        label = ("cat", "dog", "eel")[i % 3]
        output = Output(f"p{i}", {"text": "x"}, label=label, confidence=(i % 101) / 100, model_version="m1")
        assert not seen(output, desk.spec) or seen(output, strict)


def test_a_changed_promise_counts_the_old_answers_again(desk: AcceptingDesk) -> None:
    desk.send("a", 700)
    desk.people_say(desk.chosen())
    assert desk.certify() is not None
    desk.spec = desk.spec.model_copy(update={"accept": desk.promise(error=0.1)})
    with desk.database.transaction() as conn:
        loops.register(conn, desk.spec)
    made = desk.certify()
    assert made is not None
    assert made.error == 0.1
    assert len(desk.certificates()) == 2
    [one, two] = desk.sql("select number from promise_tests order by number")
    assert (one["number"], two["number"]) == (1, 2), "each test has its own part of the chance of error"
