"""The spec of a loop: what loop.yaml may say, and where its errors are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import SpecError
from labelloop.spec import sections
from labelloop.spec.folder import load, parse
from labelloop.spec.loop import LoopSpec
from labelloop.spec.trigger import Facts
from labelloop.strategies import names

LOOPS = Path(__file__).parents[3] / "labeling_configs"
MINIMAL = """\
feedback_loop:
  trigger: "model_confidence < 0.8"
  actions:
    - type: "human_review"
      fields: ["approval", "comment", "correction"]
  targets:
    - metric: "accuracy"
      goal: "increase by 5% in 6 months"
"""
BASE = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'
XML = (
    '<View><Text name="t" value="$body"/><Choices name="c" toName="t"><Choice value="a"/><Choice value="b"/>'
    "</Choices></View>"
)


def test_the_minimal_spec_is_a_loop(tmp_path: Path) -> None:
    folder = tmp_path / "tickets"
    folder.mkdir()
    (folder / "loop.yaml").write_text(MINIMAL)
    spec = load(folder)
    assert spec.name == "tickets"
    assert spec.targets[0].goal == "increase by 5% in 6 months"
    assert spec.config.verdict is not None
    assert spec.config.correction is not None
    assert spec.config.correction.tag == "TextArea", "no label is known"
    assert [spec.sends(Facts(p)) for p in (0.79, 0.8)] == [True, False]


@pytest.mark.parametrize("name", ["digits", "tickets"])
def test_the_loops_of_this_repository_are_read(name: str) -> None:
    spec = load(LOOPS / name)
    assert spec.config.data_fields == (spec.learner.field,)
    assert LoopSpec.from_json(spec.to_json()) == spec


def test_the_shares_of_a_whole_window_may_be_given_away() -> None:
    text = BASE + "  queue: {control: 0.1, audit: 0.2, holdout: 0.3, gold: 0.3, second: 0.1}\n"
    assert parse("x", text).queue.shares == {"control": 0.1, "audit": 0.2, "holdout": 0.3, "gold": 0.3, "second": 0.1}


def test_labels_come_from_the_xml_where_there_is_one() -> None:
    spec = parse("x", BASE, XML)
    assert spec.labels == ("a", "b")
    assert spec.config.verdict is None
    with pytest.raises(SpecError, match=r"line 3, column 11: .*labels: a, c here, but labels.xml has a, b"):
        parse("x", BASE + "  labels: [a, c]\n", XML)


def test_new_labels_make_the_generated_form_anew() -> None:
    spec = parse("x", MINIMAL).with_labels(["yes", "no <&> \"'"])
    assert spec.config.labels == spec.labels == ("yes", "no <&> \"'")


SPECS = st.builds(
    lambda strategy, window, diversity, shares, labels, show, fields: LoopSpec(
        name="x",
        trigger="margin < 0.5",
        queue=sections.Queue(
            strategy=strategy,
            window=window,
            diversity=diversity,
            **{name: share / len(shares) for name, share in shares.items()},
        ),
        audit=shares["audit"],
        labels=tuple(labels),
        show=show,
        actions=(sections.Action(fields=tuple(fields)),),
        targets=(sections.Target.model_validate({"metric": "m", "goal": 0.5, "by": "summer"}),),
    ),
    st.sampled_from(names()),
    st.integers(1, 10_000),
    st.floats(0, 1),
    st.fixed_dictionaries(dict.fromkeys(["control", "audit", "holdout", "gold", "second"], st.floats(0, 1))),
    st.sampled_from([[], ["a", "b"], ["é", "b c"]]),
    st.sampled_from([{"text": "$text"}, {"image": "$url"}, {"image": "$url", "text": "$caption"}]),
    st.sampled_from([["approval"], ["correction", "comment"], ["approval", "correction", "why"]]),
)


@given(SPECS)
def test_a_spec_through_json_is_the_same(spec: LoopSpec) -> None:
    complete = spec.with_labels(spec.labels)
    assert LoopSpec.from_json(complete.to_json()) == complete


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (BASE + "  queue:\n    windw: 3\n", 4, 5, "queue.windw: no such key (did you mean 'window'?)"),
        (BASE + '  queue:\n    window: "3"\n', 4, 13, "queue.window: should be a valid integer, not '3'"),
        (BASE + "  queue: {strategy: magin}\n", 3, 21, "'magin' (did you mean 'margin'?); there are: least"),
        (BASE + "  queue: {audit: 0.6, holdout: 0.6}\n", 3, 10, "audit 0.6, holdout 0.6, gold 0.05 are shares of one"),
        (BASE + "  queue: {diversity: 2}\n", 3, 22, "queue.diversity: should be less than or equal to 1, not 2"),
        (BASE + "  queue: {embedding: -1}\n", 3, 22, "queue.embedding: should be greater than or equal to 0"),
        (BASE + "  queue: {second: 0.1}\n  overlap: 2\n", 3, 19, "queue.second: asks a second annotator"),
        (
            BASE + "  gate: {slices: [country]}\n",
            3,
            19,
            "no slice 'country'; there are: label, source, reviewer, length",
        ),
        (
            BASE + "  gate: {watch: [country=pe]}\n",
            3,
            18,
            "gate.watch[0]: no slice 'country=pe'; name one such as 'label'",
        ),
        (BASE + "  gate: {watch: [data]}\n", 3, 18, "gate.watch[0]: no slice 'data'; name one such as"),
        (BASE + "  gate: {watch: [label=]}\n", 3, 18, "'label=' names no value; write 'label=VALUE', or 'label' for"),
        (BASE + "  gate: {watch: [length=9]}\n", 3, 18, "the quarters of length change with the answers"),
        (BASE + "  gate: {slices: [label], watch: [data.x=1]}\n", 3, 35, "add 'data.x' to gate.slices"),
        (BASE + "  gate: {watch: [label, label]}\n", 3, 25, "gate.watch[1]: 'label' is named twice"),
        (
            BASE + "  labels: [a, b]\n  gate: {watch: [label=c]}\n",
            4,
            18,
            "gate.watch[0]: no label 'c'; there are: a, b",
        ),
        (
            BASE + "  gate: {shadow: {answers: 50, outputs: 9}}\n",
            3,
            41,
            "gate.shadow.outputs: must be at least answers: 9 outputs, 50 answers",
        ),
        (BASE + "  gate: {promotion: always}\n", 3, 21, "gate.promotion: should be 'auto', 'ask' or 'shadow'"),
        (BASE + "  gate: {floor: 2}\n", 3, 17, "gate.floor: should be less than or equal to 1, not 2"),
        (BASE + "  audit: 2\n", 3, 10, "audit: should be less than or equal to 1, not 2"),
        (BASE + "  audit: true\n", 3, 10, "audit: should be a valid number"),
        (BASE + "  audit: .nan\n", 3, 10, "audit: "),
        (BASE + "  tolerance: .inf\n", 3, 14, "tolerance: must be a finite number, not .inf"),
        (BASE + '  title: "a\\0bc"\n', 3, 10, "title: holds the character U+0000, which Postgres does not keep"),
        (BASE + '  targets: [{metric: "\\ud800"}]\n', 3, 22, "targets[0].metric: holds the character U+D800"),
        (BASE + "  audit: 2024-99-99\n", 3, 10, "month"),
        (BASE + "  audit: 0.1\n  audit: 0.2\n", 4, 3, "audit: is given twice"),
        (BASE + "  labels: [1, 2]\n", 3, 12, "labels[0]: must be text, not 1; put it in quotes"),
        (BASE + "  labels: [a, a]\n", 3, 15, "labels[1]: 'a' is named twice"),
        (BASE + "  labels: [a, ' b']\n", 3, 15, "without blanks around"),
        (BASE + "  labels: &a [x, y]\n  targets: *a\n", 3, 11, "targets: aliases are not read"),
        (BASE + "  learner: {field: zz}\n", 3, 20, "annotators do not see 'zz'; they see: text"),
        (BASE + "  actions: []\n", 3, 12, "actions: takes at least 1"),
        (BASE + "  actions:\n    - fields: [comment]\n", 4, 15, "need approval or correction"),
        (BASE + "  show: {video: $v}\n", 3, 10, "'video' cannot be shown"),
        (BASE + "  show: {text: body}\n", 3, 16, "show.text: names a field of data, such as '$text'"),
        (BASE + "  name: x\n", 3, 3, "name: must not be set here"),
        (BASE + "other: 1\n", 3, 1, "other: no such key beside feedback_loop"),
        (BASE + "\t- x\n", 3, 1, "a tab stands where YAML takes only blanks"),
        ("feedback_loop:\n  audit: 0.1\n", 1, 1, "trigger: is missing"),
        ("feedback_loop:\n  trigger: 5\n", 2, 12, "trigger: must be text"),
        ('feedback_loop:\n  trigger: "model_confidence < 1.8"\n', 2, 32, "lie between 0 and 1; it is 1.8"),
        ("feedback_loop:\n  trigger: model_confidenc < 0.8\n", 2, 12, "no name 'model_confidenc'"),
        ("feedback_loop:\n  trigger: label == 'cat'\n  labels: [a, b]\n", 2, 21, "no label 'cat'; there are: a, b"),
        ("", 1, 1, "begins with `feedback_loop:`"),
        ("- a\n", 1, 1, "begins with `feedback_loop:`"),
        ("feedback_loop: {" * 40, 1, None, ""),
    ],
)
def test_an_error_names_its_line_and_column(text: str, line: int, column: int | None, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse("x", text)
    assert words in str(caught.value)
    assert (caught.value.line, column and caught.value.column) == (line, column)


def test_a_folder_whose_name_is_no_name_of_a_loop_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "My Loop"
    folder.mkdir()
    (folder / "loop.yaml").write_text(BASE)
    with pytest.raises(SpecError, match="name: "):
        load(folder)
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path / "nothing")


@given(st.text(max_size=200))
def test_any_text_is_a_loop_or_an_error_of_ours(text: str) -> None:
    for whole in (text, BASE + text):
        try:
            parse("x", whole)
        except SpecError:
            continue
