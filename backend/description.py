"""Description: what the OpenAPI document says of the review API, without the pages and Label Studio's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.review.actions import LONGEST_WHY
from labelloop.process.openapi import Answer, Operation

SCHEMES: Mapping[str, Mapping[str, str]] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token with the scope review; decisions need promote",
    }
}


class Report(BaseModel):
    """A report as its page shows it."""

    model_config = ConfigDict(extra="allow")


class Done(BaseModel):
    """A decision that was carried out."""

    done: str = Field(description="The result in words")


class Decision(BaseModel):
    """The reason of a decision."""

    why: str = Field(min_length=1, max_length=LONGEST_WHY, description="The reason, which is recorded")
    to: str | None = Field(None, description="Version that a roll-back returns to; without it the champion before")
    epoch: int | None = Field(None, description="Epoch that was seen; the decision fails if the champion has changed")


class Described(BaseModel):
    """The name, tags and note of a version; one that is missing becomes empty."""

    name: str | None = None
    tags: list[str] | None = None
    note: str | None = None


class Listed(BaseModel):
    """Query of the overview."""

    archived: str | None = Field(None, description="If it is there, archived loops are listed too")


class OfJudge(BaseModel):
    """Query of a judge's report."""

    model_version: str | None = Field(None, description="Version of the judge; without it that of the newest output")


class OfAlerts(BaseModel):
    """Query of the report of alerts."""

    state: Literal["open", "all"] | None = Field(None, description="With `all`, the decided ones too")


class AlertDecision(BaseModel):
    """A decision about alerts: those of `ids`, or all open ones of a person."""

    decision: Literal["accept", "reject", "reopen"]
    ids: list[int] = Field(default=[], description="Numbers of the alerts")
    person: str | None = Field(None, description="Address of the person, if there are no `ids`")
    why: str | None = Field(None, max_length=LONGEST_WHY, description="The reason; `reopen` needs none")


class OfThreshold(BaseModel):
    """Query of the report about what may pass unseen."""

    by: Literal["label"] | None = Field(None, description="With `label`, a curve of each label too")


class OfPerson(BaseModel):
    """Query of the report about people at work."""

    person: str | None = Field(None, description="Name, address, `user 7` or id; without it everybody")


class Pair(BaseModel):
    """Query of a comparison."""

    a: str = Field(description="Id of a version, or its beginning")
    b: str = Field(description="Id of the other version, or its beginning")


REFUSED: dict[int, Answer] = {
    400: Answer("The query or the body breaks a rule"),
    401: Answer("No token, or a wrong one"),
    403: Answer("The token lacks the scope"),
    404: Answer("No such loop, run or version"),
    503: Answer("Postgres does not answer; send the same request again", headers={"Retry-After": "Seconds to wait"}),
}
CHANGES: dict[int, Answer] = {
    **REFUSED,
    409: Answer("Somebody else changed it first, or its state does not allow it; nothing was done"),
    413: Answer("The body is too large"),
    415: Answer("The body is not JSON"),
}


def _read(summary: str, query: type[BaseModel] | None = None) -> Operation:
    return Operation(summary, "Reports", {200: Answer("The report", Report), **REFUSED}, query=query)


def _open(summary: str, media: str) -> Operation:
    return Operation(summary, "Operation", {200: Answer("The document", media=media)}, security=None)


def _posted(summary: str, body: type[BaseModel], answer: type[BaseModel], **more: Any) -> Operation:
    return Operation(summary, "Decisions", {200: Answer("Done", answer), **CHANGES}, body=body, **more)


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/v1/review/overview"): _read("Report all loops.", Listed),
    ("GET", "/v1/review/loops/<loop>"): _read("Report a loop."),
    ("GET", "/v1/review/loops/<loop>/accuracy"): _read("Report the error rates by week, source and label."),
    ("GET", "/v1/review/loops/<loop>/alerts"): _read("Report what people did to the work of others.", OfAlerts),
    ("POST", "/v1/review/loops/<loop>/alerts"): _posted("Decide about alerts.", AlertDecision, Done),
    ("GET", "/v1/review/loops/<loop>/corrections"): _read("Report what people changed in shown answers."),
    ("GET", "/v1/review/loops/<loop>/judge"): _read(
        "Report whether the verdicts of a judge may be believed.", OfJudge
    ),
    ("GET", "/v1/review/loops/<loop>/opinions"): _read("Report how many answers items took, and people's quality."),
    ("GET", "/v1/review/loops/<loop>/people"): _read("Report what each person answered and what the model became."),
    ("GET", "/v1/review/loops/<loop>/progress"): _read("Report what more answers would bring, and when to stop."),
    ("GET", "/v1/review/loops/<loop>/threshold"): _read(
        "Report what may pass unseen, and by which promise.", OfThreshold
    ),
    ("GET", "/v1/review/loops/<loop>/working"): _read("Report how people work, and who is to be looked at.", OfPerson),
    ("GET", "/v1/review/runs/<run_id>"): _read("Report a run with its verdict."),
    ("GET", "/v1/review/runs/<run_id>/progress"): _read("Report how far a run is."),
    ("GET", "/v1/review/versions/<version_id>"): _read("Report a version."),
    ("GET", "/v1/review/versions/<version_id>/card"): _read("Report a version's model card."),
    ("GET", "/v1/review/versions/<version_id>/file"): Operation(
        "Download a version's model file.", "Reports",
        {200: Answer("The file", media="application/octet-stream"), **REFUSED},
    ),
    ("GET", "/v1/review/compare"): _read("Compare two versions on the same answers.", Pair),
    ("POST", "/v1/review/versions/<version_id>/description"): _posted(
        "Set a version's name, tags and note.", Described, Report
    ),
    ("POST", "/v1/review/<what>/<subject>"): _posted(
        "Carry out a decision: promote, refuse, stop, rollback or retrain.", Decision, Done,
        description="`subject` is the id of a version (promote) or a run (refuse, stop), or the name of a loop.",
    ),
    ("GET", "/openapi.json"): _open("Return this document.", "application/json"),
    ("GET", "/docs"): _open("Show this document as a page.", "text/html"),
}  # fmt: skip
