"""The review API answers as its OpenAPI document says."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from backend.description import OPERATIONS
from tests.support.review.review_house import House


def test_the_document_is_valid_openapi_3_1_and_has_every_route_of_the_review_api(house: House) -> None:
    client = house.client()
    document = client.get("/openapi.json").json
    assert document is not None
    assert document["openapi"].startswith("3.1")
    assert list(jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(document)) == []
    routes = {
        (method, rule.rule)
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/v1/review", "/openapi", "/docs"))
    }
    assert routes == set(OPERATIONS)
    assert sum(len(methods) for methods in document["paths"].values()) == len(routes)
    page = client.get("/docs")
    assert (page.status_code, "/v1/review/overview" in page.text) == (200, True)


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("GET", "/v1/review/overview", {}, 200),
        ("GET", "/v1/review/loops/digits", {}, 200),
        ("GET", "/v1/review/loops/none", {}, 404),
        ("GET", "/v1/review/runs/zz", {}, 404),
        ("GET", "/v1/review/compare", {}, 404),
        ("POST", "/v1/review/promote/zz", {"json": {"why": "x"}}, 403),
        ("POST", "/v1/review/rollback/none", {"json": {}}, 400),
        ("POST", "/v1/review/retrain/digits", {"data": "x"}, 415),
    ],
)
def test_each_status_is_in_the_document(house: House, method: str, path: str, how: dict[str, Any], status: int) -> None:
    who = "otto" if status == 403 else "mira"
    said = house.client().open(path, method=method, headers=house.bearer(who), **how)
    rule = next(
        said for (verb, rule), said in OPERATIONS.items() if verb == method and _fits(rule.split("/"), path.split("/"))
    )
    assert (said.status_code, status in rule.answers) == (status, True), said.text


def _fits(rule: list[str], path: list[str]) -> bool:
    return len(rule) == len(path) and all(a.startswith("<") or a == b for a, b in zip(rule, path, strict=True))
