"""`accept` in loop.yaml: what it takes, and what it says about values that promise nothing."""

from __future__ import annotations

import hashlib
import json

import pytest

from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.spec.mistakes import examine
from labelloop.spec.sections import YOUNGER_KEYS
from labelloop.store.promises.trials import basis

LOOP = "feedback_loop:\n  trigger: model_confidence < 0.5\n  labels: [cat, dog]\n"
SPANS = (
    '<View><Labels name="label" toName="t"><Label value="a"/></Labels><Text name="t" value="$text"/></View>'
)  # fmt: skip


def faults(accept: str, more: str = "", xml: str = "") -> list[str]:
    text = LOOP if not xml else LOOP.replace("  labels: [cat, dog]\n", "")
    return [
        fault.reason.removeprefix("loop.yaml: ")
        for fault in examine("x", f"{text}  accept: {accept}\n{more}", xml).faults
    ]


@pytest.mark.parametrize(
    ("accept", "said"),
    [
        ("{error: 0}", "accept.error: answers never show that everything is correct; takes a share from 0.001 to 0.5"),
        (
            "{error: 1}",
            "accept.error: takes a share from 0.001 to 0.5, such as 0.05 (5 of 100 may be incorrect); it is 1",
        ),
        ("{error: 5}", "accept.error: takes a share from 0.001 to 0.5"),
        ('{error: "5 %"}', "it is '5 %'"),
        ("{error: true}", "it is True"),
        (
            "{error: 0.05, confidence: 1}",
            "a sample never makes anything certain; takes a probability from 0.5 to 0.999",
        ),
        ("{error: 0.05, confidence: 0.2}", "accept.confidence: takes a probability from 0.5 to 0.999, such as 0.95"),
        ("{confidence: 0.95}", "accept.error: is missing"),
        ("{error: 0.05, by: source}", "accept.by: should be 'label', not 'source'"),
        ("{error: 0.05, teach: 1}", "accept.teach: takes true or false; it is 1"),
        ("{error: 0.05, teach: pipeline}", "accept.teach: takes true or false; it is 'pipeline'"),
        ("{error: 0.05, teach: null}", "accept.teach: takes true or false; it is None"),
        ("{error: 0.05, teaches: true}", "accept.teaches: no such key"),
    ],
)
def test_a_promise_that_says_nothing_is_refused_with_what_would_do(accept: str, said: str) -> None:
    [found] = faults(accept)
    assert said in found


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("  holdout: 0\n  audit: 0\n", "accept: needs answers that chance chose"),
        ("  reuse_answers: true\n", "accept: cannot be combined with reuse_answers"),
        ("  budget: {per_day: 5, over: pass}\n", "accept: budget.over pass would let outputs pass unseen"),
    ],
)
def test_nothing_passes_around_the_promise(more: str, said: str) -> None:
    [found] = faults("{error: 0.05}", more)
    assert found.startswith(said)


def test_a_promise_by_label_needs_one_label() -> None:
    assert faults("{error: 0.05}", xml=SPANS) == []
    [found] = faults("{error: 0.05, by: label}", xml=SPANS)
    assert found == "accept.by: label needs one label as the answer, and it is spans: leave it out"


def test_by_label_the_name_that_stands_for_all_labels_is_none() -> None:
    star = LOOP.replace("cat", '"*"')
    assert star != LOOP
    assert examine("x", f"{star}  accept: {{error: 0.05}}\n").faults == []
    [found] = examine("x", f"{star}  accept: {{error: 0.05, by: label}}\n").faults
    assert found.reason.endswith("accept.by: the label '*' would stand for all labels in a certificate: rename it")


@pytest.mark.parametrize("empty", ["", "null", "~"])
def test_a_promise_that_is_left_empty_is_refused(empty: str) -> None:
    [found] = examine("x", f"{LOOP}  accept: {empty}\n").faults
    assert "accept: is empty, and so would promise nothing" in found.reason
    assert "accept: {error: 0.05}" in found.reason
    assert (found.line, found.column) == (4, 3)


def test_a_spec_without_a_promise_keeps_its_hash() -> None:
    plain = parse("x", LOOP)
    assert plain.accept is None
    assert parse("x", LOOP + "  accept: {error: 0.05}\n").sha256() != plain.sha256()
    # the hash that labelloop stored before it knew `accept`
    without = plain.to_json()
    assert without.pop("accept") is None


def test_a_promise_that_does_not_teach_keeps_its_hash_and_its_certificate() -> None:
    plain, false, true = (
        parse("x", f"{LOOP}  accept: {{error: 0.05{more}}}\n") for more in ("", ", teach: false", ", teach: true")
    )
    stored = plain.to_json()
    assert stored["accept"].pop("teach") is False
    for name in YOUNGER_KEYS - {"accept"}:
        del stored[name]
    for name in ("control_weight", "blind"):
        del stored["queue"][name]
    # the hash that labelloop stored before it knew `teach`
    assert hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).digest() == plain.sha256() == false.sha256()
    assert true.sha256() != plain.sha256()
    assert basis(true) == basis(plain)
    assert LoopSpec.from_json(true.to_json()) == true


@pytest.mark.parametrize("learner", ["none", "label-studio-ml"])
def test_teaching_needs_a_learner_that_is_trained(learner: str) -> None:
    found = faults("{error: 0.05, teach: true}", f"  learner: {learner}\n")
    assert [one for one in found if "teach" in one] == (
        ["accept.teach: the learner none is not trained: leave it out"] if learner == "none" else []
    )
