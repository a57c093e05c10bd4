"""Replies of the service as results and errors of the client."""

from __future__ import annotations

import json

import pytest
from werkzeug.exceptions import NotFound

from labelloop import Client
from labelloop.client.wire import Reply, answer, error
from labelloop.errors import InvalidOutput, UsageError
from labelloop.process.problems import members

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, "<html>a page</html>"),
        Reply(302, ""),
        Reply(404, "<html>not found</html>"),
        Reply(401, json.dumps({"status_code": 401, "detail": "Authentication credentials were not provided."})),
        Reply(405, json.dumps({"detail": "Method not allowed"})),
        Reply(404, json.dumps(members(404, NotFound.description or ""))),
    ],
)
def test_a_service_that_is_not_the_intake_is_told_as_such(reply: Reply) -> None:
    with pytest.raises(UsageError, match=f"{URL} answers {reply.status} and is not the intake"):
        answer(URL, reply)


def test_a_refusal_of_the_intake_is_told_in_its_words() -> None:
    assert str(error(URL, 404, members(404, "no loop 'x'"))) == f"the intake at {URL}: no loop 'x'"
    assert str(error(URL, 404, {"error": "no loop 'x'"})) == f"the intake at {URL}: no loop 'x'", "an earlier labelloop"
    assert isinstance(error(URL, 413, {}), InvalidOutput), "a proxy before the intake may refuse a large body"
    assert "refuses the token" in str(error(URL, 401, members(401, "the token is not known")))


def test_a_wait_without_a_time_says_what_it_needs() -> None:
    with Client(URL, "token", loop="pets") as client, pytest.raises(UsageError, match="such as timeout=60"):
        client.wait("ticket/17")
