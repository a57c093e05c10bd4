"""Answers to several controls over HTTP, and loops that get more controls when they have answers already."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labelloop.errors import SpecError
from labelloop.labeling.controls import Kind
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.hops.answering_desk import Desk
from tests.support.intake_client import output
from tests.support.sync_loop import YAML

FORM = """<View><Text name="text" value="$text"/>
<Choices name="topic" toName="text" required="true"><Choice value="order"/><Choice value="account"/></Choices>
<View visibleWhen="choice-selected" whenTagName="topic" whenChoiceValue="order">
<Choices name="product" toName="text" choice="multiple"><Choice value="shoes"/><Choice value="coat"/></Choices></View>
<Rating name="urgency" toName="text"/></View>"""
ONE = FORM.replace('<Rating name="urgency" toName="text"/>', "").replace(
    '<Choices name="product" toName="text" choice="multiple"><Choice value="shoes"/><Choice value="coat"/></Choices>',
    "",
)
RULE = YAML.replace("  labels: [cat, dog, eel]\n", "").replace("least_confidence", "random")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, of=parse("pets", RULE, FORM))


def sent(desk: Desk, key: str, label: Any) -> Any:
    return desk.post({**output(key), "probabilities": None, "label": label, "confidence": 0.4})


def test_an_answer_is_sent_as_an_object_and_read_back_as_its_text(desk: Desk) -> None:
    assert sent(desk, "a", {"topic": "order", "product": ["shoes", "coat"], "urgency": 2}).status_code in (200, 201)
    assert desk.give("a", "anna").json["answer"] == '{"product":["coat","shoes"],"topic":"order","urgency":2}'
    wrong = desk.give("a", "ben", False, correction={"topic": "order", "urgency": 9})
    assert (wrong.status_code, wrong.json["path"]) == (422, "correction")
    assert "urgency: must lie between 1 and 5" in wrong.json["error"]
    corrected = desk.give("a", "anna", False, correction={"topic": "account", "product": ["coat"], "urgency": 2})
    assert corrected.json["correction"] == '{"topic":"account","urgency":2}', "what a choice hides is left out"
    status = desk.status("a")
    assert json.loads(status["label"]) == {"topic": "account", "urgency": 2}


def test_a_correction_has_every_answer_that_the_form_requires(database: Database) -> None:
    form = FORM.replace('choice="multiple">', 'choice="multiple" required="true">')
    desk = Desk(database, of=parse("pets", RULE, form))
    assert sent(desk, "a", {"topic": "order"}).status_code == 201, "a prelabel may be partial"
    for partial, path in (
        ({"topic": "order", "urgency": 1}, "correction.product"),
        ({"urgency": 1}, "correction.topic"),
    ):
        refused = desk.give("a", "ben", False, correction=partial)
        assert (refused.status_code, refused.json["path"]) == (422, path)
        assert "is missing" in refused.json["error"]
    assert desk.give("a", "ben", False, correction={"topic": "account"}).status_code == 201, "product is hidden"


def test_a_prediction_that_the_form_cannot_give_is_refused_with_its_control(desk: Desk) -> None:
    refused = sent(desk, "a", {"topics": "order"})
    assert refused.status_code == 422
    assert "no control 'topics' is part of the answer; there are: topic, product, urgency" in json.dumps(refused.json)


def test_a_loop_that_gets_more_controls_keeps_the_answer_that_it_has(database: Database) -> None:
    desk = Desk(database, of=parse("pets", RULE, ONE))
    assert desk.spec.config.kind is Kind.LABEL
    desk.submit("a", label="order")
    assert desk.give("a", "anna").json["answer"] == "order"
    wider = parse("pets", RULE, FORM)
    assert wider.config.kind is Kind.FORM
    with database.transaction() as conn:
        kept = loops.register(conn, wider)
        stored = loops.get(conn, "pets")
    assert (kept.answer, kept.config.kind) == (("topic",), Kind.LABEL)
    assert stored == kept
    assert desk.give("a", "ben", False, correction="account").status_code == 201
    asked = parse("pets", RULE.replace("  holdout", "  answer: [topic, urgency]\n  holdout", 1), FORM)
    with database.transaction() as conn, pytest.raises(SpecError, match="`answer: topic` keeps them"):
        loops.register(conn, asked)
    with database.transaction() as conn:
        assert loops.get(conn, "pets") == kept, "nothing was written"
