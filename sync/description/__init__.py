"""Description: what the OpenAPI document says of each route of the sync service.

The fields of an output are read from the code (labelloop/outputs/output.py). Tests check that every route is here and,
with schemathesis, that each answers as it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelloop.process.openapi import Answer, Operation
from sync.answering.exports import CURSOR, NDJSON
from sync.description.models import (
    SUBMITTED,
    Alive,
    Claim,
    Close,
    Counts,
    Exported,
    Feedback,
    Keys,
    Loops,
    Mistaken,
    Ready,
    Receipt,
    Retracted,
    Several,
    Spans,
    Stands,
    Status,
    Wait,
    Wanted,
)
from sync.intake.spans import PROTOBUF
from sync.project.project import HOOK_HEADER, hook_path

SCHEMES: Mapping[str, Mapping[str, str]] = {
    "token": {"type": "http", "scheme": "bearer", "description": "The token of a pipeline, or the intake's token"},
    "secret": {
        "type": "apiKey",
        "in": "header",
        "name": HOOK_HEADER,
        "description": "The secret of the webhook",
    },
}


def _errors(**words: str) -> dict[int, Answer]:
    return {int(name.removeprefix("on_")): Answer(text) for name, text in words.items()}


RETRY = {"Retry-After": "Seconds to wait"}
BUSY = {503: Answer("Postgres does not answer; send the same request again", headers=RETRY)}
TOKEN = {
    **_errors(
        on_400="The query is not UTF-8, or the request breaks off",
        on_401="No token, or a wrong one",
        on_403="The token lacks the scope, or is for another loop",
    ),
    429: Answer("More requests a minute than the token allows, or too many of them wait", headers=RETRY),
}
NO_WAIT = _errors(on_422="`wait` is not between 0 and 60")
NO_LOOP = _errors(on_404="No such loop")
BODY = _errors(on_410="The loop was archived", on_413="Too large", on_415="A type or an encoding that is not supported")
GIVEN: dict[int, Answer] = {
    **TOKEN, **BODY, **BUSY,
    200: Answer("The reviewer had said the same before", Stands),
    201: Answer("Stored", Stands),
    404: Answer("No such loop or output"),
    422: Answer("The answer breaks a rule, or the loop has no such answer; `path` names the field"),
}  # fmt: skip
TAKEN_BACK: dict[int, Answer] = {
    **TOKEN, **BUSY,
    200: Answer("The answer counts no more", Retracted),
    403: Answer("The answer was given in Label Studio; or the token lacks the scope, or is for another loop"),
    404: Answer("No such loop or output, or the reviewer never answered it over HTTP"),
    410: BODY[410],
    422: Answer("A parameter breaks a rule; `path` names it"),
}  # fmt: skip
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/v1/loops"): Operation("List the loops.", "Outputs", {200: Answer("The loops", Loops), **TOKEN, **BUSY}),
    ("GET", "/v1/loops/<loop>"): Operation(
        "Count the outputs of a loop.", "Outputs", {200: Answer("The numbers", Counts), **TOKEN, **NO_LOOP, **BUSY}
    ),
    ("POST", "/v1/loops/<loop>/outputs"): Operation(
        "Submit outputs; all of a request are stored, or none is.",
        "Outputs",
        {
            200: Answer("All were known, with the same body", Receipt),
            201: Answer("At least one output is new", Receipt),
            **TOKEN, **NO_LOOP, **BODY, **BUSY,
            409: Answer("A known key with another body; `keys` names them"),
            422: Answer("An output breaks a rule; `problems` has the line, the key and the field of each"),
        },
        body=SUBMITTED,
        more_bodies={NDJSON: "One output a line, at most 5,000 lines"},
        description="Exactly one of probabilities, label and result is wanted; evidence.labels may stand alone.",
    ),
    ("POST", "/v1/loops/<loop>/otlp"): Operation(
        "Take spans of OpenTelemetry (OTLP/HTTP); each model call among them becomes an output.",
        "Outputs",
        {
            200: Answer(
                "Stored. `partialSuccess` counts the spans that are not, with the reasons", Exported,
                more_media=[PROTOBUF],
            ),
            **TOKEN, **NO_LOOP, **BODY, **BUSY,
            422: Answer("Not an export request"),
        },
        body=Spans, query=Claim, more_bodies={PROTOBUF: "The same export request in binary"},
        description="The key is the id of the trace, a slash and the id of the span.",
    ),
    ("GET", "/v1/loops/<loop>/outputs/<key:key>/answer"): Operation(
        "Wait until the output is settled, or until `wait` seconds are over.",
        "Answers",
        {200: Answer("The output", Status), **TOKEN, 404: Answer("No such loop or output"), **NO_WAIT, **BUSY},
        query=Wait,
    ),
    ("POST", "/v1/loops/<loop>/answers"): Operation(
        "Wait until one of several outputs is settled.",
        "Answers",
        {
            200: Answer("The outputs; `unknown` has the keys without one", Several),
            **TOKEN, **NO_LOOP, **BODY, **BUSY,
            422: Answer("The body breaks a rule; `path` names the field"),
        },
        body=Keys,
    ),
    ("POST", "/v1/loops/<loop>/outputs/<key:key>/outcome"): Operation(
        "End the hold on an output: with its answer if there is one by now, else with the fallback.",
        "Answers",
        {
            200: Answer("The outcome that an earlier request made", Status),
            201: Answer("The outcome that this request made", Status),
            **TOKEN, **BODY, **BUSY,
            404: Answer("No such loop or output"),
            422: Answer("The body breaks a rule; `path` names the field"),
        },
        body=Close,
        description="The first outcome is final. Later requests get the same one.",
    ),
    ("GET", "/v1/loops/<loop>/outputs/<key:key>"): Operation(
        "Read the state of an output and its answer.",
        "Outputs",
        {200: Answer("The output", Status), **TOKEN, 404: Answer("No such loop or output"), **BUSY},
        description="Percent-encode every character of the key, slashes too.",
    ),
    ("POST", "/v1/loops/<loop>/feedback"): Operation(
        "Store the answer of a reviewer.", "Feedback", GIVEN, body=Feedback,
        description="The same answer twice is stored once; another answer of the same reviewer replaces it.",
    ),
    ("POST", "/feedback/"): Operation(
        "Store the answer of a reviewer, for an output of any loop.", "Feedback", GIVEN, body=Feedback,
        description="The output is named by its id. The path works without the last slash too.",
    ),
    ("DELETE", "/v1/loops/<loop>/feedback"): Operation(
        "Take back the answer of a reviewer.", "Feedback", TAKEN_BACK, query=Mistaken,
        description="An answer that was given in Label Studio is deleted there.",
    ),
    ("DELETE", "/feedback/"): Operation(
        "Take back the answer of a reviewer, for an output of any loop.", "Feedback", TAKEN_BACK, query=Mistaken,
        description="The output is named by its id. The path works without the last slash too.",
    ),
    ("GET", "/v1/loops/<loop>/feedback"): Operation(
        "Export the feedback of a loop, or its changes since a cursor.",
        "Feedback",
        {
            200: Answer(
                "The rows; deleted ones too, with `deleted`", media=NDJSON,
                headers={CURSOR: "Cursor for the next export", "Link": "Address of the next export"},
            ),
            **TOKEN, **NO_LOOP, **BUSY,
            410: Answer("This database has not given the cursor; make a full export"),
            422: Answer("No such format, or the loop does not fit it, or the cursor is none"),
        },
        query=Wanted,
    ),
    ("POST", hook_path("<loop>")): Operation(
        "Take a webhook of Label Studio, which only asks for a pull.",
        "Label Studio",
        {
            204: Answer("A pull was asked for"),
            400: Answer("Not a webhook of Label Studio"), 401: Answer("The secret is wrong or missing"),
            404: Answer("Not the project of this loop"), **BUSY,
        },
        security="secret",
    ),
    ("GET", "/healthz"): Operation(
        "Tell that the process is alive.", "Operation", {200: Answer("It is", Alive)}, security=None
    ),
    ("GET", "/readyz"): Operation(
        "Tell whether everything that the service depends on answers.",
        "Operation",
        {200: Answer("Ready", Ready), 503: Answer("Not ready: the check that failed", Ready)},
        security=None,
    ),
    ("GET", "/metrics"): Operation(
        "Measure the service, for Prometheus.",
        "Operation",
        {200: Answer("The metrics", media="text/plain"), **TOKEN, **BUSY},
    ),
    ("GET", "/openapi.json"): Operation(
        "Return this document.", "Operation", {200: Answer("The document", media="application/json")}, security=None
    ),
    ("GET", "/docs"): Operation(
        "Show this document as a page.", "Operation", {200: Answer("The page", media="text/html")}, security=None
    ),
}  # fmt: skip
__all__: Sequence[str] = ("OPERATIONS", "SCHEMES")
