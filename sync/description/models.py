"""Models: the bodies and queries of the routes of the sync service, for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from labelloop.outputs.output import Output, OutputState
from labelloop.process.openapi import model_of
from labelloop.queue.lanes import Lane
from labelloop.store.pipelines.outcomes import Kind
from sync.answering.exports import FORMATS
from sync.answering.feedback import MAX_COMMENT
from sync.answering.http import MAX_KEYS, MAX_WAIT_S

SUBMITTED: type[BaseModel] = model_of(
    Output,
    data=dict[str, Any],
    probabilities=dict[str, float] | None,
    produced_at=str | None,
    result=list[dict[str, Any]] | None,
    label=str | float | bool | list[Any] | dict[str, Any] | None,
    gold=str | float | bool | list[Any] | dict[str, Any] | None,
    evidence=dict[str, Any] | None,
    embedding=list[float] | None,
)


class Loops(BaseModel):
    """The loops that are neither archived nor removed."""

    loops: list[str]


class Counts(BaseModel):
    """Numbers of outputs of a loop, for the token of a source those of this source."""

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


class Outcome(BaseModel):
    """The end of a pipeline's hold on an output. It never changes."""

    kind: Kind
    value: Any = Field(description="The value to continue with; null if undecided")
    decided_at: datetime
    deadline_at: datetime | None


class Step(BaseModel):
    """An earlier step of a trace that people corrected."""

    loop: str
    key: str
    step: str | None
    label: str | None
    correction: str | None


class Repeated(BaseModel):
    """The earlier output with the same content, whose answer an output has."""

    key: str
    id: UUID
    answered_by: list[str] = Field(description="The people who answered it; empty before they have")


class Accepted(BaseModel):
    """By which promise an output passed unseen. It is no answer of a person."""

    label: str = Field(description="The label that was accepted: the pipeline's or the champion's")
    confidence: float
    by: Literal["pipeline", "champion"]
    version: str
    certificate: UUID
    error: float = Field(description="At most this share of such outputs is incorrect")
    at: datetime
    revoked_at: datetime | None = Field(description="When it went back to people; null otherwise")


class Status(BaseModel):
    """An output, and its reviewers' answer if its state is `answered`."""

    key: str
    id: UUID
    loop: str
    state: OutputState
    reason: str | None = Field(description="Why it is quarantined or withdrawn; null in any other state")
    lane: Lane
    model_label: str | None
    model_confidence: float | None
    model_version: str
    settled: bool = Field(description="Whether no answer is expected any more, or there is one")
    will_be_asked: bool = Field(description="Whether a person was, is or will be asked")
    source: str | None
    trace: str | None
    step: str | None
    spec_version: int | None = Field(description="Version of the loop's spec that chose the lane")
    repeats: Repeated | None = Field(description="The output whose answer it has; null if it is asked for itself")
    accepted: Accepted | None = Field(description="By which promise it passed unseen; null if it never did")
    rests_on: list[Step] = Field(description="Earlier steps of its trace that people corrected")
    outcome: Outcome | None
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
    correction: str | float | bool | list[Any] | dict[str, Any] | None = Field(
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


class Mistaken(BaseModel):
    """Query that names the output and the reviewer whose answer is taken back."""

    model_output_id: str | None = Field(None, description="The `id` of the output; or give its key")
    key: str | None = Field(None, description="The key of the output; or give its id")
    reviewer_id: str = Field(min_length=1, max_length=200, description="As it was sent, or the id from an export")


class Retracted(BaseModel):
    """The output without the answer that was taken back."""

    loop: str
    model_output_id: UUID
    key: str
    state: OutputState
    answer: str | None = Field(description="The label on which the other reviewers agree")
    new: bool = Field(description="False: the answer had been taken back before")


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


class Wait(BaseModel):
    """Query of a wait."""

    wait: float | None = Field(None, ge=0, le=MAX_WAIT_S, description="Seconds to wait; without it 0")
    hold: str | None = Field(None, description="1: an outcome ends the wait too")


class Keys(BaseModel):
    """Outputs to wait for."""

    model_config = ConfigDict(extra="forbid")
    keys: list[str] = Field(min_length=1, max_length=MAX_KEYS)
    wait: float | None = Field(None, ge=0, le=MAX_WAIT_S, description="Seconds to wait; without it 0")
    settled_only: bool = Field(False, description="Whether outputs that are not settled are left out")


class Several(BaseModel):
    """The outputs of these keys."""

    loop: str
    outputs: list[Status]
    unknown: list[str] = Field(description="Keys that nobody has submitted")


class Close(BaseModel):
    """The end of a hold."""

    model_config = ConfigDict(extra="forbid")
    fallback: Any = Field(None, description="The value without an answer; without it the outcome is `undecided`")
    deadline_at: datetime | None = Field(None, description="The deadline of the pipeline, for the record")


class Spans(BaseModel):
    """An export request of OpenTelemetry."""

    model_config = ConfigDict(extra="allow")
    resourceSpans: list[dict[str, Any]]


class Claim(BaseModel):
    """Query of an export request."""

    label: str | None = Field(None, description="The pipeline's label of each answer; without it `approve`")


class Refused(BaseModel):
    """The spans that are not stored."""

    rejectedSpans: int
    errorMessage: str


class Exported(BaseModel):
    """The response of OTLP/HTTP: empty if all spans are stored."""

    partialSuccess: Refused | None = None
