"""`judge` in loop.yaml: what is refused, and with which words; and the example of its docs page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labelloop.queue.order import shares
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.spec.mistakes import examine

LOOP = "feedback_loop:\n  trigger: model_confidence < 0.5\n  labels: [pass, fail]\n"
PAGE = Path(__file__).parents[3] / "docs/engineers/judge.md"


def faults(more: str) -> list[str]:
    return [fault.reason.removeprefix("loop.yaml: ") for fault in examine("x", LOOP + more).faults]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("  holdout: 0\n  audit: 0\n", "judge: only answers that chance chose certify a judge"),
        ("  queue: {blind: 0}\n", "queue.blind: only blind answers certify a judge, and 0 gives none"),
    ],
)
def test_a_judge_that_can_never_be_certified_is_refused(more: str, said: str) -> None:
    [found] = faults("  judge: {positive: pass}\n" + more)
    assert found.startswith(said)
    assert faults(more) == [], "without a judge it is no mistake"


@pytest.mark.parametrize(
    "more", ["  holdout: 0\n", "  audit: 0\n", "  holdout: 0\n  audit: 0\n  queue: {control: 0.2, blind: 0.1}\n"]
)
def test_one_lane_of_chance_and_some_blind_tasks_are_enough(more: str) -> None:
    assert faults("  judge: {positive: pass}\n" + more) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("accept: 0.05", "accept: takes keys, as in `accept: {error: 0.05}`, not 0.05"),
        ("judge: pass", "judge: takes keys, as in `judge: {positive: pass}`, not 'pass'"),
        ("opinions: 3", "opinions: takes keys, as in `opinions: {most: 3}`, not 3"),
    ],
)
def test_a_plain_value_in_place_of_a_section_is_refused_with_an_example(line: str, said: str) -> None:
    assert faults(f"  {line}\n") == [said]
    example = said.split("`")[1]
    assert faults(f"  {example}\n") == []


def example() -> LoopSpec:
    found = re.search(r"```yaml\n(feedback_loop:.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return parse("answers", found[1])


def test_most_answers_of_the_example_on_the_docs_page_can_certify_the_judge() -> None:
    spec = example()
    of = shares(spec.queue.shares)
    assert sum(of[lane] for lane in ("holdout", "audit", "control")) >= 0.8
    assert spec.holdout + (1 - spec.holdout) * spec.audit >= 0.3, "enough such outputs come in"
    assert spec.without_learner
