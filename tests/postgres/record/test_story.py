"""`audit show` tells what happened to an output, to a version, and by a person, in order."""

from __future__ import annotations

import json

from click.testing import CliRunner

from console.cli import main
from labelloop.store.record.words.telling import WORDS
from tests.support.recorded import Recorded


def show(recorded: Recorded, *words: str) -> tuple[int, list[str], str]:
    env = {"LABELLOOP_DATABASE_URL": recorded.database.url}
    told = CliRunner().invoke(main, ["audit", "show", *words, "--json"], env=env)
    lines = json.loads(told.stdout)["lines"] if told.exit_code == 0 else []
    return told.exit_code, [f"{line['by']}: {line['happened']}" for line in lines], told.output


def test_the_story_of_an_output_goes_from_its_arrival_to_its_answer(recorded: Recorded) -> None:
    status, lines, said = show(recorded, "two", "--loop", "pets")
    assert status == 0, said
    assert lines[0] == "intake: arrived, and waits for people"
    in_order = [
        "intake: feedback of anna@x.org: corrected",
        "intake: the answer is dog, by 1 person",
        "intake: is answered",
        "intake: the answer is cat, by 1 person",
    ]
    assert [line for line in lines if line in in_order] == in_order, lines


def test_the_story_of_an_output_ends_with_the_version_that_learned_it(recorded: Recorded) -> None:
    with recorded.database.transaction() as conn:
        row = conn.execute(
            "select key, version_id from run_items i join outputs o on o.id = output_id join retrain_runs r"
            " on r.id = run_id where part = 'train' and version_id is not null limit 1"
        ).fetchone()
    assert row is not None
    _, lines, said = show(recorded, row["key"])
    assert f"training: version {row['version_id'][:12]} learned from it" in lines, said


def test_the_story_of_a_version_has_its_run_and_its_promotion(recorded: Recorded) -> None:
    with recorded.database.transaction() as conn:
        row = conn.execute("select id from model_versions where stage = 'champion'").fetchone()
    assert row is not None
    _, lines, said = show(recorded, row["id"][:10])
    told = [line.partition(": ")[2] for line in lines]
    assert "was trained, and waits for a decision" in told, said
    assert "becomes the champion" in told
    assert any(line.endswith("is promoted") for line in told)
    assert any("serves in place of the pipeline's own outputs (epoch 1)" in line for line in told)


def test_the_story_of_a_person_has_what_the_person_answered(recorded: Recorded) -> None:
    _, lines, said = show(recorded, "anna@x.org")
    assert sum("feedback of anna@x.org" in line for line in lines) >= 3, said


def test_every_table_on_record_has_words(recorded: Recorded) -> None:
    with recorded.database.transaction() as conn:
        tables = {row["name"] for row in conn.execute("select name from recorded_tables").fetchall()}
    assert tables == set(WORDS)


def test_a_loop_that_never_was_is_refused_and_a_removed_one_is_not(recorded: Recorded) -> None:
    env = {"LABELLOOP_DATABASE_URL": recorded.database.url, "LABELLOOP_RECORD_HEADS": str(recorded.path)}
    for loop in ("pts", ""):
        checked = CliRunner().invoke(main, ["audit", "verify", "--loop", loop], env=env)
        assert (checked.exit_code, f"no loop {loop!r} was ever here" in checked.output) == (2, True), checked.output
        status, _, said = show(recorded, "two", "--loop", loop)
        assert (status, f"no loop {loop!r} was ever here" in said) == (2, True), said
    assert "(did you mean 'pets'?); there are: digits, pets" in show(recorded, "two", "--loop", "pts")[2]
    with recorded.database.transaction() as conn:
        conn.execute("insert into loops (name, spec, labels_xml) select 'gone', spec, labels_xml from loops limit 1")
        conn.execute("delete from loops where name = 'gone'")
    recorded.tamper("update access_tokens set name = name || '!'")
    assert CliRunner().invoke(main, ["audit", "verify", "--loop", "gone"], env=env).exit_code == 0
    found = CliRunner().invoke(main, ["audit", "verify"], env=env)
    assert found.output.endswith(": 1 thing is wrong\n"), found.output


def test_an_unknown_name_is_refused_with_what_can_be_given(recorded: Recorded) -> None:
    status, _, said = show(recorded, "nobody")
    assert (status, "no output, version or person 'nobody'" in said) == (2, True), said
