"""Every template that Label Studio ships is a loop: its form is read, and what its editor writes is a typed answer."""

from __future__ import annotations

import pytest

from console.files.label_studio import mended
from labelloop.answers.consensus import consensus
from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.spec.folder import parse
from tests.support.data.editor_results import data_for, written
from tests.support.data.label_studio_templates import ENTERPRISE_ONLY, templates
from tools.templates_page import PAGE, page

YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  overlap: 2\n'
GOAL = 65


def answer_to(name: str) -> tuple[LabelingConfig, str | None]:
    config = parse("templates", YAML, mended(templates()[name])).config
    return config, results.read(config, written(config), None, data_for(config, {})).label


def kept_whole(config: LabelingConfig) -> bool:
    """Whether no part of the answer is of a kind that labelloop reads."""
    return {part.kind for part in config.answer.parts or (config.answer,)} == {Kind.OTHER}


@pytest.mark.skipif(not templates(), reason="Label Studio is not installed")
@pytest.mark.parametrize("name", templates())
def test_the_editors_result_is_an_answer_that_comes_back_the_same(name: str) -> None:
    config, answer = answer_to(name)
    assert answer is not None
    assert kinds.canonical(config.answer, answer) == answer
    shown = results.encode(config, answer, None, data_for(config, {}))
    assert results.read(config, shown, None, data_for(config, {})).label == answer
    agreed = consensus([answer, answer], 2, config.answer)
    assert agreed is not None
    assert (agreed.label, agreed.agreement) == (answer, 1.0)


@pytest.mark.skipif(not templates(), reason="Label Studio is not installed")
def test_as_many_templates_as_promised_have_typed_answers() -> None:
    whole = [name for name in templates() if kept_whole(answer_to(name)[0])]
    assert len(templates()) - len(whole) >= GOAL
    for name in whole:
        assert any(f"<{tag} " in templates()[name] for tag in ENTERPRISE_ONLY), f"{name} needs no Enterprise tag"


@pytest.mark.skipif(not templates(), reason="Label Studio is not installed")
def test_the_page_of_the_templates_is_that_of_the_installed_label_studio() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again with tools/templates_page.py"
