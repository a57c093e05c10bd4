"""`labelloop schema`: what counts after a change of labels, that nothing given is changed, and the way back."""

from __future__ import annotations

import json

import psycopg
import pytest

from labelloop.errors import Failed, SpecError, Unreachable
from labelloop.labeling.changing import Wanted
from labelloop.labeling.controls import Former
from labelloop.labeling.former import ChangeKind, in_force
from labelloop.outputs.fitting import check, shown
from labelloop.outputs.output import Output
from labelloop.spec.folder import load
from labelloop.store.pipelines import label_changes
from labelloop.store.tables import loops
from sync.pull.opinions import Settled, settle_opinions
from sync.pull.relabel import relabel
from tests.support.hops.people import Said
from tests.support.workers.pets import COUNTS, GIVEN, LABELS, XML, YAML, Pets

OLD = ["cat", "dog", "eel", None, None, "eel", "cat", None, "eel"]
CHANGES = {
    "rename": (["rename", "cat", "feline"], ["feline", "dog", "eel", None, None, "eel", "feline", None, "eel"]),
    "merge": (["merge", "cat", "dog", "--into", "pet"], ["pet", "pet", "eel", "pet", None, "eel", "pet", None, "eel"]),
    "merge into one that is there": (
        ["merge", "cat", "eel", "--into", "eel"],
        ["eel", "dog", "eel", None, None, "eel", "eel", None, "eel"],
    ),
    "split": (["split", "eel", "--into", "moray", "--into", "conger"], ["cat", "dog", *[None] * 4, "cat", None, None]),
    "retire": (["retire", "eel"], ["cat", "dog", *[None] * 4, "cat", None, None]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_answers_are_read_by_the_labels_of_today_and_an_undo_restores_what_counted(pets: Pets, name: str) -> None:
    words, expected = CHANGES[name]
    assert pets.labels() == OLD
    before, given, files = pets.counts(), pets.rows(GIVEN), pets.files()
    pets.change(*words, "--why", "a better word")
    after = pets.counts()
    assert pets.labels() == expected
    assert pets.rows(GIVEN) == given, "what people gave stays as it is"
    assert {row["label"] for row in after["outputs"]} <= {*pets.spec.labels, None}
    assert {row["label"] for row in after["tasks"]} <= {*pets.spec.labels, None}
    assert {row["label"] for row in after["feedback"]} <= {*pets.spec.labels, None}
    assert load(pets.folder).labels == pets.spec.labels

    assert "It is so already" in pets.change(*words)
    assert pets.counts() == after, "a second time changes nothing"
    assert len(pets.rows("select from label_changes")) == 1

    pets.change("undo")
    assert pets.counts() == before
    assert pets.files() == files
    assert pets.rows(GIVEN) == given
    assert pets.spec.former_labels.keys() == {label for label in pets.spec.former_labels if label not in LABELS}
    pets.change(*words)
    assert pets.counts() == after, "and it can be done again"


def test_a_pipeline_that_goes_on_with_the_old_label_is_read_and_a_person_with_an_old_page_too(pets: Pets) -> None:
    old = pets.spec
    pets.change("rename", "cat", "feline")
    now = pets.spec
    sent = shown(Output("item-9", {"text": "x"}, probabilities=pets.shares("cat")), now.config)
    assert check(sent, now.config, now.labels).probabilities == {"feline": 0.5, "dog": 0.25, "eel": 0.25}
    late = [Said(7, 2, "cat", minute=30), Said(7, 1, "cat", minute=31)]
    with pytest.raises(Unreachable, match="labels of loop 'pets' have just changed"):
        pets.say(late, old)  # a pull that had read the spec before
    # A page that was opened before the change submits the label that it shows.
    pets.say(late, old.model_copy(update={"former_labels": now.former_labels, "labels": now.labels}))
    newest = "select result #>> '{0,value,choices,0}' as given from annotation_versions order by seq desc limit 1"
    assert pets.rows(newest) == [{"given": "cat"}]


def test_after_a_split_an_old_answer_asks_again_and_after_retire_it_does_not(pets: Pets) -> None:
    pets.change("split", "eel", "--into", "moray", "--into", "conger")
    asked = pets.rows("select distinct ask, reason from unreadable where until is null")
    assert asked == [
        {
            "ask": True,
            "reason": "Choices 'label': 'eel' was given, and this label was split into 'moray', 'conger' since",
        }
    ]
    states = {row["key"]: row["state"] for row in pets.rows(COUNTS["answers"])}
    assert (states["item-2"], states["item-0"]) == ("in_review", "answered")
    pets.say([Said(2, 1, "moray", minute=40), Said(2, 2, "moray", minute=41)])
    assert pets.labels()[2] == "moray"
    pets.change("undo")
    assert pets.labels()[2] == "eel", "a part is read as the label that it was a part of"
    pets.change("retire", "eel")
    assert pets.rows("select distinct ask from unreadable where until is null") == [{"ask": False}]


def test_a_chain_of_renames_and_the_way_back_by_a_rename(pets: Pets) -> None:
    before = pets.labels()
    pets.change("rename", "cat", "feline")
    pets.change("rename", "feline", "felis")
    assert pets.labels()[0] == "felis"
    with pets.database.transaction() as conn:
        former = in_force(label_changes.list_(conn, "pets"))
    assert {label: one.to for label, one in former.items()} == {"cat": ("felis",), "feline": ("felis",)}
    pets.change("rename", "felis", "cat")
    assert pets.labels() == before
    assert (pets.folder / "labels.xml").read_bytes() == XML.encode()
    pets.change("undo")
    pets.change("undo")
    assert pets.labels()[0] == "feline"


def test_a_command_that_was_killed_between_the_files_and_the_database_is_finished_by_the_second_one(pets: Pets) -> None:
    (pets.folder / "labels.xml").write_bytes(XML.replace('"cat"', '"feline"').encode())
    with pets.database.transaction() as conn:
        loops.register(conn, load(pets.folder))  # a service that started in between
    pets.change("rename", "cat", "feline")
    assert pets.labels()[0] == "feline"
    assert pets.spec.labels == ("feline", "dog", "eel")
    pets.change("undo")
    assert pets.labels() == OLD
    assert load(pets.folder).labels == LABELS


def test_a_refused_change_leaves_files_and_tables_as_they_are(pets: Pets) -> None:
    before, files = pets.counts(), pets.files()
    for words, why in {
        ("rename", "cta", "feline"): "no label 'cta' (did you mean 'cat'?)",
        ("rename", "cat", "dog"): "'dog' is a label already: `labelloop schema merge cat dog --into dog`",
        ("rename", "cat", "cat"): "'cat' is the old name and the new one: give another new name",
        ("merge", "cat", "--into", "pet"): "merge takes two labels or more",
        ("split", "cat", "--into", "lynx"): "split takes --into twice or more",
        ("split", "cat", "--into", "cat", "--into", "lynx"): "'cat' cannot be one of its parts",
        ("merge", *LABELS, "--into", "pet", "--control", "text"): "is no control of the form",
        ("retire", "cow"): "no label 'cow'",
        ("undo",): "there is nothing to undo",
    }.items():
        said = pets.run(*words, "--by", "olga", "--yes")
        assert said.exit_code == 2, said.output
        assert why in said.output
    assert "Files that change: labels.xml" in pets.run("retire", "cat", "--dry-run").output
    assert (pets.counts(), pets.files()) == (before, files)
    (pets.folder / "loop.yaml").write_text(YAML.replace("model_confidence < 0.8", "label == 'cat'"))
    assert "trigger names 'cat'" in pets.run("rename", "cat", "feline", "--by", "olga", "--yes").output
    pets.change("retire", "eel")
    pets.change("rename", "dog", "hund")
    assert "'eel' was a label before" in pets.run("rename", "hund", "eel", "--by", "olga", "--yes").output
    (pets.folder / "labels.xml").write_bytes(XML.encode())
    again = "the label 'dog' became 'hund' by `labelloop schema`, and the form has it again"
    with pytest.raises(SpecError, match=again), pets.database.transaction() as conn:
        loops.register(conn, load(pets.folder))


def test_changes_are_on_record_and_cannot_be_changed(pets: Pets) -> None:
    pets.change("rename", "cat", "feline", "--why", "as biologists say")
    listed = json.loads(pets.run("show", "--json").output)
    assert [row["what"] for row in listed["changes"]] == ["'cat' became 'feline'"]
    entries = pets.rows("select reason, after from record_entries where what = 'label_changes'")
    assert entries == [{"reason": "as biologists say", "after": {"kind": "rename", "undoes": None}}]
    with pytest.raises(psycopg.errors.CheckViolation):
        pets.rows("update label_changes set why = 'x' returning id")
    with pytest.raises(psycopg.errors.CheckViolation):
        pets.rows("delete from label_changes returning id")


def test_an_estimate_of_people_that_began_before_a_change_is_not_stored(pets: Pets) -> None:
    old = pets.spec.model_copy(update={"consensus": "dawid-skene"})
    pets.change("rename", "cat", "feline")
    answers = pets.rows("select * from answers order by seq")
    assert settle_opinions(pets.database, old) == Settled()
    assert pets.rows("select * from answers order by seq") == answers
    now = pets.spec.model_copy(update={"consensus": "dawid-skene"})
    assert settle_opinions(pets.database, now).estimate is not None


def test_a_change_that_was_planned_before_another_one_is_refused(pets: Pets) -> None:
    spec = pets.spec
    pets.change("rename", "cat", "feline")
    wanted = Wanted(ChangeKind.RENAME, ("dog",), ("hound",))
    with pytest.raises(Failed, match="changed meanwhile"):
        relabel(pets.database, spec, wanted, ["hound"], {"dog": Former(("hound",), False)}, {}, "olga", "", seen=0)
    assert len(pets.rows("select id from label_changes")) == 1


def test_other_changes_of_the_files_are_named_before_they_come_into_force(pets: Pets) -> None:
    (pets.folder / "loop.yaml").write_text(YAML.replace("overlap: 2", "overlap: 3"))
    assert "The files change other keys too: overlap." in pets.run("rename", "cat", "feline", "--dry-run").output
