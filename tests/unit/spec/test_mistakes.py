"""Every mistake in a loop's files is found at once, at its place, with the nearest valid name."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.errors import SpecError
from labelloop.spec.folder import load, load_all, look
from labelloop.spec.mistakes import examine

QUEUE = "strategy, window, diversity, embedding, control, audit, holdout, gold, second, control_weight and 1 more"
XML = '<View><Text name="t" value="$t"/><Choices name="label" toName="t">{}</Choices></View>'


def places(text: str, xml: str = "") -> list[tuple[int | None, int | None]]:
    return [(fault.line, fault.column) for fault in examine("x", text, xml).faults]


def reasons(text: str, xml: str = "") -> list[str]:
    return [fault.reason.removeprefix("loop.yaml: ") for fault in examine("x", text, xml).faults]


def test_all_mistakes_of_both_files_are_named_in_their_order() -> None:
    text = """feedback_loop:
  audit: 3
  audit: 4
  trigger: |
    modelconfidence < 0.8 or
      label == "a" or data.x > 1 +
  queue: {windw: 3, strategy: magin}
  gate: {promotion: autto}
  actions: [{type: human_reviw, fieldz: [a]}]
  learner: {name: txt, fild: x}
other: 1
"""
    found = examine("x", text, XML.format('<choice value="a"/><choice value="b"/>'))
    assert found.spec is None
    assert [(fault.line, fault.column) for fault in found.faults] == [
        (2, 10), (3, 3), (6, 35), (7, 11), (7, 31), (8, 21), (9, 20), (9, 33), (10, 24), (11, 1), (1, 67), (1, 86),
    ]  # fmt: skip
    near = [str(fault).partition("did you mean ")[2].partition("?")[0] for fault in found.faults[3:9]]
    assert near == ["'window'", "'margin'", "'auto'", "'human_review'", "'fields'", "'field'"]
    assert [fault.reason.partition(":")[0] for fault in found.faults] == ["loop.yaml"] * 10 + ["labels.xml"] * 2


def test_a_form_tells_each_label_that_is_there_twice_in_each_control() -> None:
    control = '<Choices name="{}" toName="t"><Choice value="a"/><Choice value="a"/><Choice value=" a"/></Choices>'
    two = f'<View><Text name="t" value="$t"/>{control.format("label")}{control.format("other")}</View>'
    assert len(places("feedback_loop: {trigger: margin < 0.1}", two)) == 4


def test_the_trigger_is_checked_against_the_labels_although_another_key_is_wrong() -> None:
    whole = "feedback_loop:\n  trigger: label == 'cta' or confidence < 1\n  labels: [cat, dog]\n  audit: 3\n"
    assert places(whole) == [(2, 21), (2, 30), (4, 10)]
    rest = "feedback_loop:\n  trigger: label == 'cta'\n  audit: 3\n"
    assert places(rest, XML.format('<Choice value="cat"/><Choice value="dog"/>')) == [(2, 21), (3, 10)]


@pytest.mark.parametrize(
    ("trigger", "place"),
    [
        ("trigger: |\n    label == 'cat' or\n\n      label == 'cow'\n", (5, 16)),
        ("trigger: |-\n\n      label == 'cow'\n", (4, 16)),
        ("trigger: \"label == 'cow'\"\n", (2, 22)),
        ("trigger:\n    label == 'cow'\n", (3, 14)),
        ("trigger: >\n    label == 'cat' or\n    label == 'cow'\n", (2, 12)),
    ],
)
def test_a_place_inside_the_trigger_is_a_place_in_the_file(trigger: str, place: tuple[int, int]) -> None:
    assert places(f"feedback_loop:\n  {trigger}  labels: [cat, dog]\n") == [place]


def test_a_folder_of_loops_tells_every_fault_of_each_and_loads_the_others(tmp_path: Path) -> None:
    for name, audit in {"good": "0.1", "bad": "3\n  holdout: 2", "worse": "x"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "loop.yaml").write_text(f"feedback_loop:\n  trigger: margin < 0.1\n  audit: {audit}\n")
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "loop.yaml").write_bytes(b"\xff")
    specs, faults = load_all(tmp_path)
    assert [spec.name for spec in specs] == ["good"]
    assert [(fault.loop, fault.line) for fault in faults] == [("bad", 3), ("bad", 4), ("bytes", None), ("worse", 3)]
    with pytest.raises(SpecError, match=r"loop .bad.: line 3, column 10: loop\.yaml: audit"):
        load(tmp_path / "bad")


def test_what_the_learner_refuses_is_at_its_key(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "loop.yaml").write_text(
        "feedback_loop:\n  trigger: margin < 0.1\n  labels: [a, b]\n  learner:\n    params: {C: 3}\n"
    )

    def check(_: object) -> None:
        raise SpecError("learner.params.C: no")

    [fault] = look(tmp_path / "x", check)[1]
    assert str(fault) == "loop 'x': line 5, column 17: loop.yaml: learner.params.C: no"


def test_each_mistake_of_a_budget_is_named_at_its_place() -> None:
    text = """feedback_loop:
  trigger: margin < 0.1
  labels: [cat, dog]
  budget:
    per_dya: 3
    per_day: 0
    per_source:
      mail: -1
      chat: "5"
    per_label: true
    over: drop
"""
    found = examine("x", text).faults
    assert [(fault.line, fault.column) for fault in found] == [(5, 5), (6, 14), (8, 13), (9, 13), (10, 16), (11, 11)]
    words = "\n".join(map(str, found))
    assert "budget.per_dya: no such key (did you mean 'per_day'?)" in words
    assert "budget.per_day: should be greater than or equal to 1, not 0" in words
    assert "budget.per_source.chat: should be a valid integer, not '5'" in words
    assert "budget.per_label: takes a whole number from 1 to 1,000,000, which holds for each" in words


def test_a_budget_names_labels_that_exist_and_an_answer_of_one_label() -> None:
    text = 'feedback_loop:\n  trigger: margin < 0.1\n  labels: [cat, dog]\n  budget: {per_label: {"*": 2, dgo: 3}}\n'
    (fault,) = examine("x", text).faults
    assert (fault.line, fault.column) == (4, 32)
    assert "budget.per_label: no label 'dgo' (did you mean 'dog'?); there are: cat, dog" in str(fault)
    number = '<View><Text name="t" value="$t"/><Number name="n" toName="t" min="0" max="9"/></View>'
    text = "feedback_loop:\n  trigger: model_confidence < 0.1\n  budget: {per_label: 3}\n"
    (fault,) = examine("x", text, number).faults
    assert (fault.line, fault.column) == (3, 23)
    assert "budget.per_label: needs one label, and the answer is a number" in str(fault)
    assert places("feedback_loop: {trigger: margin < 0.1, budget: {}}") == [(1, 48)]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("  trigger: margin < 0.1\n    audit: 0.1\n", (3, 10), "the indentation does not fit the line above"),
        ("    trigger: margin < 0.1\n  audit: 0.1\n", (3, 3), "the indentation does not fit the line above"),
        ("  actions:\n    - type: a\n     fields: [b]\n", (4, 6), "the indentation does not fit the line above"),
        ("  trigger: data: 3\n", (2, 16), "a text with a colon and a blank must be in quotes"),
        ("\ttrigger: x\n", (2, 1), "a tab stands where YAML takes only blanks"),
        ("  labels: [a, b\n  audit: 3\n", (3, 8), "expected ',' or ']', but got ':'"),
        ("  triger: margin < 0.1\n", (2, 3), "triger: no such key (did you mean 'trigger'?)"),
        ("  trigger: margin < 1\n  audit: '0,1'\n", (3, 10), "audit: should be a valid number such as 0.1, not '0,1'"),
        ("  trigger: margin < 1\n  audit: 25 %\n", (3, 10), "audit: should be a valid number such as 0.25, not '25 %'"),
        ("  trigger: margin < 1\n  audit: x\n", (3, 10), "audit: should be a valid number, not 'x'"),
        ("  trigger: margin < 1\n  queue: {size: 3}\n", (3, 11), f"queue.size: no such key; there are: {QUEUE}"),
    ],
)  # fmt: skip
def test_a_common_mistake_is_one_fault_in_plain_words(text: str, place: tuple[int, int], words: str) -> None:
    (fault,) = examine("x", f"feedback_loop:\n{text}").faults
    assert (fault.line, fault.column) == place
    assert fault.reason == f"loop.yaml: {words}"


def test_a_missing_key_is_told_beside_a_key_that_is_like_another() -> None:
    first, second = examine("x", "feedback_loop:\n  titel: pets\n").faults
    assert (str(first), "did you mean 'title'" in str(second)) == (
        "line 1, column 1: loop.yaml: trigger: is missing",
        True,
    )


def test_examples_name_fields_that_people_read_labels_that_they_give_and_areas_in_which_they_write() -> None:
    text = """feedback_loop:
  trigger: margin < 0.1
  examples:
    prompt: questoin
    texts: {approve: answer, aprove: picture}
    edits: {approve: edit}
"""
    xml = XML.format('<Choice value="approve"/><Choice value="correct"/>').replace(
        "<View>",
        '<View><Text name="q" value="$question"/><Text name="a" value="$answer"/><Image name="i" value="$picture"/>'
        '<TextArea name="edit" toName="a"/><TextArea name="comment" toName="a"/>',
    )
    assert reasons(text, xml) == [
        "examples.edits.approve: 'approve' is in texts and in edits; the best text of a label is in one of them"
    ]
    assert reasons(text.replace("{approve: edit}", "{correct: comment}"), xml) == [
        "examples.prompt: annotators do not read 'questoin' (did you mean 'question'?); they read: question, answer, t",
        "examples.texts: no label 'aprove' (did you mean 'approve'?); there are: approve, correct",
        "examples.texts.aprove: annotators do not read 'picture'; they read: question, answer, t",
        "examples.edits.correct: labels.xml has no TextArea 'comment' for a text; there are: edit",
    ]
    spans = '<View><Text name="t" value="$t"/><Labels name="label" toName="t"><Label value="a"/></Labels></View>'
    whole = "feedback_loop:\n  trigger: model_confidence < 1\n  examples: {prompt: t, texts: {a: t}}\n"
    assert reasons(whole, spans) == ["examples: needs one label as the answer, and it is spans"]
    generated = whole.replace("t, texts: {a: t}", "text, texts: {a: text}") + "  labels: [a, b]\n"
    assert reasons(generated) == []
