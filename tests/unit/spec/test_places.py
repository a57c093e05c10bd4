"""A mistake in loop.yaml is at the line of the key that its message names, whatever the section and the style."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backend.learners.of_spec import check
from labelloop.spec.folder import look

BASE = "feedback_loop:\n  trigger: model_confidence < 0.8\n"
PETS = BASE + "  labels: [cat, dog]\n"
FORM = '<View><Text name="t" value="$text"/>{}</View>'
SPANS = FORM.format('<Labels name="label" toName="t"><Label value="a"/></Labels>')
VERDICT = FORM.format(
    '<Choices name="label" toName="t"><Choice value="a"/><Choice value="b"/></Choices>'
    '<Choices name="verdict" toName="t"><Choice value="approve"/><Choice value="reject"/></Choices>'
)


def check_places(folder: Path, text: str, xml: str = "") -> None:
    """Assert that the mistakes are in the lines with `# here`, and that each names the key of its line."""
    (folder / "pets").mkdir()
    (folder / "pets" / "loop.yaml").write_text(text)
    if xml:
        (folder / "pets" / "labels.xml").write_text(xml)
    spec, faults = look(folder / "pets", check)
    assert spec is None
    lines = text.splitlines()
    wanted = [number for number, line in enumerate(lines, 1) if line.endswith("# here")]
    assert sorted({fault.line or 0 for fault in faults}) == wanted, list(map(str, faults))
    for fault in faults:
        line = lines[(fault.line or 0) - 1]
        key = re.sub(r"\[\d+\]$", "", fault.reason.removeprefix("loop.yaml: ").split(": ")[0]).split(".")[-1]
        item = re.fullmatch(r" *- (.*)", line)
        at = line[(fault.column or 0) - 1 :]
        if item:
            assert at == item[1]
        else:
            assert line.strip().startswith(f"{key}: "), (key, line)
            assert at in (line.strip(), line.partition(": ")[2])


@pytest.mark.parametrize(
    "text",
    [
        "  holdout: 0\n  audit: 0\n  accept: # here\n    error: 0.05\n",
        "  accept:\n    confidence: 0.9\n    error: 0 # here\n",
        "  reuse_answers: true\n  accept: # here\n    error: 0.05\n",
        "  judge:\n    floor: 0.9\n    positive: cow # here\n",
        "  holdout: 0\n  audit: 0\n  judge: # here\n    positive: cat\n",
        "  actions:\n    - fields: [approval]\n  judge: # here\n    positive: cat\n",
        "  judge:\n    positive: cat\n  queue:\n    window: 9\n    blind: 0 # here\n",
        "  actions:\n    - fields: [approval]\n  queue:\n    window: 9\n    blind: 0.2 # here\n",
        "  overlap: 3\n  opinions:\n    budget: 2\n    most: 3 # here\n",
        "  opinions:\n    most: 3\n    sure: 0.9 # here\n",
        "  opinions:\n    most: 3\n    sure: 0.9 # here\n    budget: 4 # here\n",
        "  opinions:\n    most: 3\n  queue:\n    window: 9\n    second: 0.1 # here\n",
        "  overlap: 2\n  queue:\n    window: 9\n    second: 0.1 # here\n",
        "  queue: # here\n    gold: 0.5\n    audit: 0.6\n",
        "  consensus: crowdlab # here\n  learner:\n    name: none\n",
        "  consensus: vote # here\n",
        "  retrain:\n    after: 9\n    every: 6 hours # here\n",
        "  retrain:\n    minutes: 5\n    drift: true # here\n    threads: 0 # here\n",
        "  gate:\n    rule: joint\n    reuse: share # here\n",
        "  gate:\n    floor: 0.1\n    watch:\n      - label\n      - label=cow # here\n",
        "  gate:\n    watch:\n      - label\n      - size # here\n      - label # here\n",
        "  gate:\n    slices:\n      - label\n      - lenght # here\n",
        "  gate:\n    shadow:\n      outputs: 9 # here\n      answers: 50\n",
        "  definitions:\n    cat: says meow\n    cow: says moo # here\n",
        "  budget: # here\n    over: wait\n",
        "  steps:\n    loops:\n      - one\n      - one # here\n",
        "  show:\n    text: $text\n    image: picture # here\n",
        "  learner:\n    name: text\n    params:\n      characters: true\n      C: -1.0 # here\n",
        "  learner:\n    name: text\n    params:\n      characters: true\n      charcters: true # here\n",
        "  learner:\n    name: sentences\n    params:\n      C: 3.0\n      encoder: /none # here\n",
        "  learner:\n    name: images\n    params:\n      features: pretrained\n      model: /none.onnx # here\n",
        "  learner:\n    params: {}\n    name: txt # here\n",
        "  learner:\n    params: {reads: text}\n    name: sklearn.svm.LinearSVC # here\n",
        "  learner:\n    name: sklearn.svm.SVC\n    params:\n      probability: true\n      C: -1 # here\n",
    ],
)
def test_a_mistake_is_at_the_key_that_it_names(tmp_path: Path, text: str) -> None:
    check_places(tmp_path, PETS + text)


@pytest.mark.parametrize(
    ("text", "xml"),
    [
        ("  consensus: dawid-skene # here\n", SPANS),
        ("  accept:\n    error: 0.05\n    by: label # here\n", SPANS),
        ("  judge: # here\n    positive: a\n", SPANS),
        ("  queue:\n    window: 9\n    blind: 0.2 # here\n", VERDICT),
        ("  labels:\n    - a\n    - a # here\n    - $b # here\n", ""),
        ("  learner:\n    name: spans\n    field: body # here\n", SPANS),
    ],
)
def test_a_mistake_against_the_form_is_at_the_key_that_it_names(tmp_path: Path, text: str, xml: str) -> None:
    check_places(tmp_path, BASE + text, xml)
