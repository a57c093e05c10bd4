"""Examples for training a language model: pairs that people compared, texts that they approved and texts they wrote."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from console.cli import main
from console.files.templates import files_of
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from tests.support.hops.answering_desk import Desk, exported

Row = dict[str, Any]
ASKED, GOOD, BAD = "Do you ship to Norway?", "Yes, within 4 to 6 days.", "Yes."
TURNS = [{"author": "system", "text": "Be short."}, {"author": "user", "text": ASKED}]


def desk_of(database: Database, template: str, **how: Any) -> Desk:
    files = files_of(template)
    spec = parse("pets", files["loop.yaml"].replace("holdout: 0.2", "holdout: 0.0"), files["labels.xml"])
    return Desk(database, of=spec, **how)


def submit(desk: Desk, key: str, data: Row, **fields: Any) -> UUID:
    made = desk.post({"key": key, "data": data, "label": "approve", **fields})
    assert made.status_code == 201, made
    return UUID(made.json["outputs"][0]["id"])


def pair(desk: Desk, key: str, a: str, b: str) -> UUID:
    return submit(desk, key, {"prompt": ASKED, "a": a, "b": b}, label="a", confidence=0.6)


def examples(desk: Desk, name: str) -> list[Row]:
    rows, cursor = exported(desk, format=name)
    assert cursor == "", "examples are always exported in full"
    return rows


def said_by_the_command(desk: Desk, name: str) -> str:
    done = CliRunner().invoke(main, ["export", "--format", name], env={"LABELLOOP_DATABASE_URL": desk.database.url})
    assert done.exit_code == 0, done.output
    return done.stderr.strip()


def test_the_text_that_people_preferred_is_the_chosen_one_on_either_side(database: Database) -> None:
    desk = desk_of(database, "pairwise")
    pair(desk, "left", GOOD, BAD)
    pair(desk, "right", BAD, GOOD)
    pair(desk, "tie", GOOD, "Yes, in 4 to 6 days.")
    pair(desk, "equal", GOOD, f"{GOOD} ")
    pair(desk, "open", GOOD, BAD)
    pair(desk, "held", GOOD, BAD)
    desk.sql("update outputs set holdout = true where key = 'held' returning id")
    for key, answer in (("left", "a"), ("right", "b"), ("tie", "tie"), ("equal", "a"), ("held", "a")):
        given = desk.give(key, "anna", answer == "a", **({} if answer == "a" else {"correction": answer}))
        assert given.status_code == 201, given
    preferred = {"prompt": ASKED, "chosen": GOOD, "rejected": BAD}
    assert examples(desk, "dpo") == [preferred, preferred]
    assert examples(desk, "sft") == [{"prompt": ASKED, "completion": GOOD}] * 3
    said = said_by_the_command(desk, "dpo")
    assert said == "2 examples; left out: 1 answered 'tie', 1 held out, 1 with no worse text"
    assert said_by_the_command(desk, "sft") == "3 examples; left out: 1 answered 'tie', 1 held out"


def test_an_answer_that_is_taken_back_takes_its_example_along(database: Database) -> None:
    desk = desk_of(database, "pairwise")
    output = pair(desk, "left", GOOD, BAD)
    desk.annotate(output, 1, "a")
    assert len(examples(desk, "dpo")) == 1
    desk.annotate(output, 1, "b", later_s=1)
    assert examples(desk, "dpo") == [{"prompt": ASKED, "chosen": BAD, "rejected": GOOD}]
    desk.annotate(output, 1, None)
    assert examples(desk, "dpo") == []


def test_a_text_that_a_person_wrote_is_better_than_that_of_the_model(database: Database) -> None:
    desk = desk_of(database, "text-review")
    ids = {
        key: submit(desk, key, {"question": ASKED, "answer": BAD}) for key in ("edited", "fine", "no", "same", "http")
    }
    desk.annotate(ids["edited"], 1, "correct", edit=GOOD)
    desk.annotate(ids["fine"], 1, "approve", edit="written before the person approved")
    desk.annotate(ids["no"], 1, "reject", edit="written before the person rejected")
    desk.annotate(ids["same"], 1, "correct", edit=BAD)
    assert desk.give("http", "anna", False, correction="correct").status_code == 201
    assert examples(desk, "dpo") == [{"prompt": ASKED, "chosen": GOOD, "rejected": BAD}]
    assert sorted(row["completion"] for row in examples(desk, "sft")) == [GOOD, BAD, BAD]
    why = "1 answered 'correct' without a text, 1 answered 'reject'"
    assert said_by_the_command(desk, "sft") == f"3 examples; left out: {why}"
    assert said_by_the_command(desk, "dpo") == f"1 example; left out: {why}, 2 with no worse text"


def test_the_newest_of_several_texts_counts_if_its_author_gave_the_agreed_answer(database: Database) -> None:
    desk = desk_of(database, "text-review", overlap=3)
    output = submit(desk, "x", {"question": ASKED, "answer": BAD})
    desk.annotate(output, 1, "correct", edit="the first", later_s=1)
    desk.annotate(output, 2, "correct", edit="the second", later_s=2)
    assert examples(desk, "sft") == []
    desk.annotate(output, 3, "approve", edit="of a person who approved", later_s=3)
    assert [row["completion"] for row in examples(desk, "sft")] == ["the second"]
    desk.annotate(output, 1, "correct", edit="the first, once more", later_s=4)
    assert [row["completion"] for row in examples(desk, "sft")] == ["the first, once more"]


def test_a_conversation_becomes_the_messages_before_the_judged_answer(database: Database) -> None:
    desk = desk_of(database, "dialogue")
    called = [*TURNS, {"author": "tool call", "text": "ship(NO)"}, {"author": "tool", "text": "[4, 6]"}]
    asked = [
        {"role": "system", "content": "Be short."}, {"role": "user", "content": ASKED},
        {"role": "assistant", "content": "ship(NO)"}, {"role": "tool", "content": "[4, 6]"},
    ]  # fmt: skip
    one = submit(desk, "one", {"dialogue": [*called, {"author": "assistant", "text": BAD}], "answer": BAD})
    two = submit(
        desk, "two",
        {"dialogue": [*TURNS, *({"author": "assistant", "text": text} for text in "ab")], "answer": "a\n\nb"},
    )  # fmt: skip
    other = submit(desk, "other", {"dialogue": [*TURNS, {"author": "assistant", "text": GOOD}], "answer": BAD})
    desk.annotate(one, 1, "correct", edit=GOOD)
    desk.annotate(two, 1, "approve")
    desk.annotate(other, 1, "approve")
    alone = submit(desk, "alone", {"dialogue": [{"author": "assistant", "text": BAD}], "answer": BAD})
    desk.annotate(alone, 1, "approve")
    chosen, rejected = ([{"role": "assistant", "content": text}] for text in (GOOD, BAD))
    assert examples(desk, "dpo") == [{"prompt": asked, "chosen": chosen, "rejected": rejected}]
    sft = sorted(examples(desk, "sft"), key=lambda row: -len(row["prompt"]))
    assert len(sft) == 2
    assert sft[0] == {"prompt": asked, "completion": chosen}
    assert sft[1] == {"prompt": asked[:2], "completion": [{"role": "assistant", "content": "a\n\nb"}]}
    why = "1 whose conversation ends with another answer, 1 without a prompt"
    assert said_by_the_command(desk, "sft") == f"2 examples; left out: {why}"


def test_a_turn_of_the_user_stays_in_the_prompt_even_if_an_answer_has_the_same_text(database: Database) -> None:
    files = files_of("pairwise")
    talk = '<Paragraphs name="prompt" value="$prompt" layout="dialogue" nameKey="author" textKey="text"/>'
    form = files["labels.xml"].replace('<Text name="prompt" value="$prompt"/>', talk)
    assert talk in form
    desk = Desk(database, of=parse("pets", files["loop.yaml"].replace("holdout: 0.2", "holdout: 0.0"), form))
    submit(desk, "x", {"prompt": [{"author": "user", "text": "Hi"}], "a": "Hi", "b": "Hello!"}, label="a")
    assert desk.give("x", "anna", False, correction="b").status_code == 201
    chosen, rejected = ([{"role": "assistant", "content": text}] for text in ("Hello!", "Hi"))
    prompt = [{"role": "user", "content": "Hi"}]
    assert examples(desk, "dpo") == [{"prompt": prompt, "chosen": chosen, "rejected": rejected}]


def test_no_example_has_a_best_text_or_a_prompt_that_is_missing(database: Database) -> None:
    desk = desk_of(database, "pairwise")
    pair(desk, "nothing", " ", BAD)
    pair(desk, "silent", "", GOOD)
    for key in ("best", "worse", "prompt"):
        pair(desk, key, GOOD, BAD)
    for key in ("nothing", "best", "worse", "prompt"):
        assert desk.give(key, "anna").status_code == 201
    assert desk.give("silent", "anna", False, correction="b").status_code == 201
    # They came while the form showed other fields.
    for key, field in (("best", "a"), ("worse", "b"), ("prompt", "prompt")):
        desk.sql(f"update outputs set data = data - '{field}' where key = '{key}' returning id")
    assert examples(desk, "dpo") == [{"prompt": ASKED, "chosen": GOOD, "rejected": ""}]
    assert examples(desk, "sft") == [{"prompt": ASKED, "completion": GOOD}] * 2
    why = "2 answered 'a' without a text"
    assert said_by_the_command(desk, "dpo") == f"1 example; left out: {why}, 1 with no worse text, 1 without a prompt"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (
            "judge",
            "format: sft needs a loop that shows one text, or the section `examples` in loop.yaml; this one shows",
        ),
        ("entities", "format: sft needs a loop with one label as the answer, not spans"),
    ],
)
def test_a_loop_without_the_section_is_told_to_add_it(database: Database, template: str, why: str) -> None:
    desk = desk_of(database, template)
    said = desk.get("/v1/loops/pets/feedback?format=sft")
    assert said.status_code == 422
    assert why in said.json["detail"]
