"""Refusals have the form of RFC 9457."""

from __future__ import annotations

from flask import Flask, Response, abort

from labelloop.errors import Unreachable
from labelloop.process import problems
from labelloop.process.service import as_problem


def app() -> Flask:
    made = Flask(__name__)
    made.register_error_handler(Exception, as_problem)

    @made.get("/refused/<name>")
    def refused(name: str) -> Response:
        return problems.problem(422, "must be a text", path="key", line=3)

    @made.get("/away")
    def away() -> Response:
        raise Unreachable("10.1.2.3 does not answer")

    @made.get("/gone")
    def gone() -> Response:
        abort(410, "the loop was archived")

    return made


def test_a_problem_has_the_members_of_the_standard_and_ours() -> None:
    response = app().test_client().get("/refused/a%20b")
    assert (response.status_code, response.mimetype) == (422, "application/problem+json")
    assert response.json == {
        "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "must be a text",
        "instance": "/refused/a%20b", "path": "key", "line": 3, "error": "must be a text",
    }  # fmt: skip


def test_an_error_keeps_the_headers_that_belong_to_it() -> None:
    away = app().test_client().get("/away")
    assert (away.status_code, away.mimetype, away.headers["Retry-After"]) == (503, "application/problem+json", "1")
    wrong = app().test_client().post("/gone")
    assert (wrong.status_code, wrong.json and wrong.json["title"]) == (405, "Method Not Allowed")
    assert "GET" in wrong.headers["Allow"]
    assert app().test_client().get("/gone").json == problems.members(410, "the loop was archived", "/gone")
