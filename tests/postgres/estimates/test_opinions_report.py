"""The page about opinions, the command and the JSON: quality, wrong prelabels that were kept, and wrong gold."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from backend.report.estimates.opinions import headline, opinions_report, waiting_for_nobody
from console.cli import main
from labelloop.store.database import Database
from sync.pull.opinions import settle_opinions
from tests.support.review.opinions import annotate, crowd, spec_of, write_items


def test_the_report_names_who_keeps_wrong_prelabels_and_the_gold_that_looks_wrong(database: Database) -> None:
    spec = crowd(database)
    with database.transaction() as conn:
        found = opinions_report(conn, spec.name)
    assert (found["items"], found["gold"]["answered"], found["gold"]["contradicted"]) == (48, 12, 1)
    assert found["gold"]["items"] == [{"key": "k0000", "gold": "eel", "said": {"cat": 3}}]
    assert sum(row["items"] for row in found["numbers"]) == 48
    people = {person["name"]: person for person in found["people"]}
    for name in ("p1", "p2"):
        wrong = people[name]["wrong_prelabels"]
        assert (wrong["kept"], wrong["shown"]) == (1, 7), "of six wrong prelabels, and of the wrong gold answer"
        assert wrong["low"] < 1 / 7 < wrong["high"] < 0.6
        assert people[name]["quality"]["value"] > 0.95
    wrong = people["p3"]["wrong_prelabels"]
    assert (wrong["kept"], wrong["shown"], wrong["share"]) == (7, 7, 1.0)
    assert wrong["low"] > 0.5
    quality = people["p3"]["quality"]
    assert quality["low"] < quality["value"] < quality["high"] < 0.8
    assert found["certainty"] is not None
    assert any("1 of 12 answered gold items look wrong" in sentence for sentence in found["sentences"])


def test_the_report_names_majority_and_a_loop_without_answers(database: Database) -> None:
    votes, none = spec_of("  overlap: 2\n", "votes"), spec_of(name="none")
    with database.transaction() as conn:
        ids = write_items(conn, votes, 3)
        write_items(conn, none, 1)
    annotate(database, votes, [(0, 1, "cat"), (0, 2, "cat"), (1, 1, "cat"), (1, 2, "dog")], ids)
    with database.transaction() as conn:
        found, empty = (opinions_report(conn, name) for name in ("votes", "none"))
    assert found["sentences"] == [
        "2 items took 2.00 answers in the mean: 100.0 % have 2 answers.",
        "People do not agree on 1 item: there is no answer, and no model learns from it.",
        "Each person's answer counts the same (consensus: majority).",
    ]
    assert [person["quality"]["value"] for person in found["people"]] == [None, None]
    assert empty["sentences"] == ["Nobody has answered an item yet."]
    assert empty["mean"] is None


def test_items_with_an_answer_and_one_more_person_asked_are_no_disagreement(database: Database) -> None:
    spec = spec_of("  overlap: 2\n  consensus: dawid-skene\n  opinions: {most: 3}\n")
    with database.transaction() as conn:
        ids = write_items(conn, spec, 8)
    agreeing = [(item, person, "cat") for item in range(4) for person in (1, 2)]
    differing = [(item, person, label) for item in (4, 5) for person, label in ((1, "cat"), (2, "dog"))]
    annotate(database, spec, [*agreeing, *differing, (6, 1, "cat")], ids)
    settle_opinions(database, spec)
    with database.transaction() as conn:
        found = opinions_report(conn, spec.name)
        clear = sum(row["clear"] for row in found["numbers"])
    assert found["asked"] == 6, "the estimate is not sure of anything yet"
    assert clear >= 4, "and four of these have an answer that holds"
    assert found["unclear"] == 0, "item 6 waits for its second person: nobody disagrees"
    assert found["opinions"] == {"most": 3, "sure": 0.95, "budget": None}
    assert (found["persons"], found["without_person"]) == (2, 6)
    assert (
        "6 items wait for one more person than have ever answered here (2): let somebody else work in the project in "
        "Label Studio, or lower opinions.most."
    ) in found["sentences"]
    with database.transaction() as conn:
        assert "6 items wait for one more person" in (headline(conn, spec) or "")
        assert (waiting_for_nobody(conn, spec) or "").startswith("6 items wait for one more person than have ever")
    annotate(database, spec, [(7, 3, "cat")], ids)
    with database.transaction() as conn:
        found = opinions_report(conn, spec.name)
        assert waiting_for_nobody(conn, spec) is None
    assert (found["asked"], found["persons"], found["without_person"]) == (6, 3, 0), "a third person is there"


def test_the_commands_say_the_same(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd(database)
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")
    said = CliRunner().invoke(main, ["report", "opinions", "--loop", "pets"])
    assert said.exit_code == 0, said.output
    assert "48 items took" in said.stdout
    assert "7 of 7; 100" in said.stdout
    told = json.loads(CliRunner().invoke(main, ["report", "opinions", "--loop", "pets", "--json"]).stdout)
    assert told["gold"]["contradicted"] == 1
    people = CliRunner().invoke(main, ["people", "--loop", "pets"])
    assert "7 of 7 (64.6 to 100.0 %)" in people.stdout, people.stdout
    [first, *_] = json.loads(CliRunner().invoke(main, ["people", "--loop", "pets", "--json"]).stdout)
    assert first["wrong_prelabels"]["shown"] == 7
