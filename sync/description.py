"""Description: what the OpenAPI document says of each route of the sync service.

The fields of an output are read from the code (labelloop/outputs/output.py). Tests check that every route is here and,
with schemathesis, that each answers as it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from labelloop.outputs.output import Output, OutputState
from labelloop.process.openapi import Answer, Operation, model_of
from labelloop.queue.lanes import Lane
from sync.answering.exports import CURSOR, FORMATS, NDJSON
from sync.answering.feedback import MAX_COMMENT
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
SUBMITTED: type[BaseModel] = model_of(
    Output,
    data=dict[str, Any],
    probabilities=dict[str, float] | None,
    produced_at=str | None,
    result=list[dict[str, Any]] | None,
    label=str | float | bool | list[Any] | None,
    gold=str | float | bool | list[Any] | None,
    evidence=dict[str, Any] | None,
    embedding=list[float] | None,
)


class Loops(BaseModel):
    """The loops that are neither archived nor removed."""

    loops: list[str]


class Counts(BaseModel):
    """Numbers of outputs of a loop."""

    loop: str
    labels: list[str]
    states: dict[str, int] = Field(description="Number of outputs in each state")
    lanes: dict[str, int] = Field(description="Number of outputs in each lane")


class Stored(BaseModel):
    """An output as it is stored now."""

    key: str
    id: UUID
    state: OutputState
    new: bool = Field(description="False: it was stored before, with the same body")


class Receipt(BaseModel):
    """The outputs of a request."""

    loop: str
    new: int
    known: int
    outputs: list[Stored]


class Status(BaseModel):
    """An output, and its reviewers' answer if its state is `answered`."""

    key: str
    id: UUID
    loop: str
    state: OutputState
    lane: Lane
    model_label: str | None
    model_confidence: float | None
    model_version: str
    label: str | None = Field(description="The answer of the reviewers")
    approval: bool | None = Field(description="Whether the answer equals the output")
    correction: str | None
    comments: list[str]
    agreement: float | None
    reviewers: int
    unreadable: list[str] = Field(description="Why annotations cannot be read as answers")
    received_at: datetime
    answered_at: datetime | None


class Feedback(BaseModel):
    """The answer of one reviewer about one output."""

    model_config = ConfigDict(extra="forbid")
    model_output_id: str | None = Field(None, description="The `id` of the output; or give its key")
    key: str | None = Field(None, description="The key of the output; or give its id")
    reviewer_id: str = Field(min_length=1, max_length=200, description="Login of the person, or the id from an export")
    approval: bool = Field(description="Whether the output is correct")
    correction: str | float | bool | list[Any] | None = Field(
        None, description="The correct answer, in the form of an output's `label`"
    )
    comment: str | None = Field(None, max_length=MAX_COMMENT)


class Stands(BaseModel):
    """The reviewer's answer as it counts now."""

    id: UUID
    loop: str
    model_output_id: UUID
    key: str
    reviewer_id: UUID
    approval: bool | None
    correction: str | None
    comment: str | None
    label: str | None = Field(description="The label according to this reviewer")
    state: OutputState
    answer: str | None = Field(description="The label on which all reviewers agree")
    new: bool = Field(description="False: this reviewer had said the same before")


class Wanted(BaseModel):
    """Query of an export."""

    since: str | None = Field(None, description="Cursor of an earlier export: only what has changed since")
    format: str | None = Field(None, description=f"{', '.join(FORMATS)}; without it ndjson")


class Ready(BaseModel):
    """Result of each readiness check."""

    model_config = ConfigDict(extra="allow")
    status: str


class Alive(BaseModel):
    """The process is alive."""

    status: str


def _errors(**words: str) -> dict[int, Answer]:
    return {int(name.removeprefix("on_")): Answer(text) for name, text in words.items()}


RETRY = {"Retry-After": "Seconds to wait"}
BUSY = {503: Answer("Postgres does not answer; send the same request again", headers=RETRY)}
TOKEN = _errors(on_400="The query is not UTF-8, or the request breaks off", on_401="No token, or a wrong one")
NO_LOOP = _errors(on_404="No such loop")
BODY = _errors(on_410="The loop was archived", on_413="Too large", on_415="A type or an encoding that is not supported")
GIVEN: dict[int, Answer] = {
    **TOKEN, **BODY, **BUSY,
    200: Answer("The reviewer had said the same before", Stands),
    201: Answer("Stored", Stands),
    404: Answer("No such loop or output"),
    422: Answer("The answer breaks a rule, or the loop has no such answer; `path` names the field"),
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
        description="The output is named by its id.",
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
