"""The sync service answers as its OpenAPI document says, to whatever schemathesis makes of the document."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.definitions import OPENAPI_31

from labelloop.access.needs import SCOPES_OF_ROUTES, scope_of
from labelloop.outputs.output import FIELDS
from labelloop.store.database import Database
from sync.description import OPERATIONS
from sync.project.project import hook_path
from tests.support.hops.answering_desk import Desk
from tests.support.intake_client import HEADERS, output

CASES = 500
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
TABLES = ("outputs", "annotation_versions", "feedback", "reviewers", "pool", "answers", "feedback_changes")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def rows(desk: Desk) -> dict[str, int]:
    (row,) = desk.sql("select " + ", ".join(f"(select count(*) from {table}) as {table}" for table in TABLES))
    return row


MOSTLY = st.sampled_from([*[True] * 9, False])


def test_the_document_is_valid_openapi_3_1_and_has_every_route(desk: Desk) -> None:
    document = desk.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert list(jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(document)) == []
    app = desk.web.application
    routes = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert routes == set(OPERATIONS)
    assert sum(len(methods) for methods in document["paths"].values()) == len(routes)
    hook = {("POST", hook_path("<loop>"))}
    assert routes - hook == set(SCOPES_OF_ROUTES)
    assert (scope_of("HEAD", "/v1/loops"), scope_of("GET", "/healthz")) == ("any", None)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            is_open = operation["security"] == []
            rule = next(r for m, r in routes if m == method.upper() and r.replace("<key:", "<") == _rule(path))
            assert is_open == (OPERATIONS[method.upper(), rule].security is None)


def test_an_output_in_the_document_has_the_fields_and_the_words_of_the_code(desk: Desk) -> None:
    schema = desk.get("/openapi.json").json["components"]["schemas"]["Output"]
    assert set(schema["properties"]) == set(FIELDS)
    assert schema["required"] == ["key", "data"]
    assert "embedding length" in schema["properties"]["embedding"]["description"]
    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid(output())
    assert not validator.is_valid({**output(), "sureness": 1})


def test_the_page_shows_every_operation_without_a_script_and_without_other_servers(desk: Desk) -> None:
    said = desk.web.get("/docs")
    assert (said.status_code, said.mimetype) == (200, "text/html")
    for words in ("<script", "https://", "http://"):
        assert words not in said.text
    for path in desk.get("/openapi.json").json["paths"]:
        assert f"<code>{path}</code>" in said.text


def test_no_request_is_answered_5xx_or_otherwise_than_documented_and_a_refused_one_stores_nothing(desk: Desk) -> None:
    ids = desk.submit("a", "b")
    desk.open_task(ids[1], 1)
    desk.give("a", "anna")
    schema = schemathesis.openapi.from_dict(desk.get("/openapi.json").json)
    schema.app = desk.web.application
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == len(OPERATIONS)
    strategies = {
        (one.label, mode): one.as_strategy(generation_mode=mode)
        for one in operations
        for mode in schemathesis.GenerationMode
    }
    known = {"loop": "pets", "key": "a"}
    real: dict[str, dict[str, Any]] = {
        "POST /v1/loops/{loop}/feedback": {"key": "a", "model_output_id": None, "reviewer_id": "ben"},
        "POST /v1/loops/{loop}/answers": {"keys": ["a", "b"]},
        "POST /feedback/": {"key": None, "model_output_id": str(ids[0]), "reviewer_id": "cleo"},
    }
    statuses: Counter[tuple[str, int]] = Counter()

    @settings(
        max_examples=CASES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )  # fmt: skip
    @given(st.data())
    def any_request(data: st.DataObject) -> None:
        # Most requests go to what stores something; the others are few and simple.
        label, mode = data.draw(
            st.sampled_from([which for which in strategies for _ in range(6 if which[0].startswith("POST") else 1)])
        )
        try:
            case = data.draw(strategies[label, mode])
        except schemathesis.errors.InvalidSchema:
            return
        if data.draw(MOSTLY):  # a loop that there is, and a token, nearly always
            case.path_parameters = {
                **(case.path_parameters or {}),
                **{name: known[name] for name in (case.path_parameters or {}) if name in known},
            }
        if data.draw(MOSTLY):
            case.headers.update(HEADERS)
        if isinstance(case.body, dict) and label in real and data.draw(st.booleans()):
            case.body = {**case.body, **real[label]}
        if isinstance(case.body, dict) and label.endswith("/outputs") and data.draw(st.booleans()):
            case.body = {**output(data.draw(st.sampled_from("abcdef"))), **data.draw(st.sampled_from([{}, case.body]))}
        _shorten(case)
        before = rows(desk)
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        statuses[label, response.status_code] += 1
        assert response.status_code < 500 or label == "GET /readyz", response.text
        if response.status_code >= 400:
            assert rows(desk) == before
            assert label == "GET /readyz" or json.loads(response.content)["status"] == response.status_code

    any_request()
    stored = {label for label, status in statuses if status in (200, 201) and label.startswith("POST")}
    assert len(stored) >= 3, statuses  # which ones is a matter of chance
    assert {401, 404, 422} <= {status for _, status in statuses}


def _shorten(case: schemathesis.Case[Any]) -> None:
    """Let a request that may wait do so for an instant only."""
    for part in (case.query, case.body):
        wait = part.get("wait") if isinstance(part, dict) else None
        if isinstance(part, dict) and isinstance(wait, int | float) and 0 < wait <= 60:
            part["wait"] = 0.01


def _rule(path: str) -> str:
    return path.replace("{", "<").replace("}", ">")
