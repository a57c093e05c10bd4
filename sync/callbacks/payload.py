"""The body of a callback: the JSON text of an event, with `type`, `timestamp` and `data`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.errors import Failed
from labelloop.outputs.output import OutputState
from labelloop.spec.events import Event
from labelloop.store.callbacks.deliveries import Claimed
from labelloop.store.database import Conn
from labelloop.store.tables import loops
from labelloop.store.tables import outputs as output_store
from labelloop.versions.version import short
from sync.intake.status import contexts, status_json


def body(conn: Conn, one: Claimed) -> str:
    """Return the text to send. The answer in it is that of the commit, whatever has changed since."""
    if one.event in (Event.OUTPUT_ANSWERED, Event.ANSWER_CHANGED):
        data = _answer(conn, one)
    elif one.event in (Event.OUTPUT_ACCEPTED, Event.CERTIFICATE_WITHDRAWN, Event.ALERT_OPENED):
        data = {"loop": one.loop, **one.fact}
    elif one.event == Event.TASK_COMPLETED:
        data = {"loop": one.loop, "id": one.fact["output"], **{k: v for k, v in one.fact.items() if k != "output"}}
    else:
        data = _promotion(one)
    return text(one.event, one.created_at, data)


def text(event: str, at: datetime, data: Mapping[str, Any]) -> str:
    """Return the JSON text of an event."""
    return json.dumps({"type": event, "timestamp": at.isoformat(), "data": data}, default=str, ensure_ascii=False)


def _answer(conn: Conn, one: Claimed) -> dict[str, Any]:
    """Return the fields of `GET .../outputs/KEY`, with the answer as it was; also the label before a change."""
    fact = one.fact
    spec, found = loops.get(conn, one.loop), output_store.find(conn, one.loop, [fact["key"]])
    if spec is None or not found:
        raise Failed(f"output {fact['key']!r} of loop {one.loop!r} does not exist any more")
    row = found[0]
    then = replace(
        row,
        state=OutputState(fact["state"]),
        answer_label=fact["answer_label"],
        agreement=fact["agreement"],
        reviewers=fact["reviewers"],
        resolved_at=fact["resolved_at"] and datetime.fromisoformat(fact["resolved_at"]),
        rejected=fact["rejected"],
        original_id=UUID(original) if (original := fact.get("original_id")) else None,
        original=fact.get("original"),
        answered_by=fact.get("answered_by"),
    )
    context = replace(contexts(conn, spec, [row])[row.id], comments=fact["comments"])
    data = status_json(spec, then, context)
    return data | ({"previous_label": fact["previous_label"]} if "previous_label" in fact else {})


def _promotion(one: Claimed) -> dict[str, Any]:
    fact = one.fact
    return {
        "loop": one.loop,
        "epoch": fact["epoch"],
        "version": fact["version_id"],
        "previous": fact["previous_id"],
        "name": short(fact["version_id"]),
        "by": fact["by"],
        "why": fact["why"],
        "at": fact["at"],
    }
