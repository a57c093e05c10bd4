"""Traces that a program writes to MLflow, the outputs made of them, and the assessments that came back."""

from __future__ import annotations

from typing import Any

import mlflow

from backend.report.assessments import write
from backend.worker import ask_for_assessments
from tests.support.hops.answering_desk import Desk
from tests.support.intake_client import output


def traced(answer: str = "miaow") -> str:
    """Write a trace as a program does, and return its id."""
    with mlflow.start_span("answer", span_type="LLM") as span:
        span.set_inputs({"messages": [{"role": "user", "content": "What does a cat say?"}]})
        span.set_outputs(answer)
    mlflow.flush_trace_async_logging()
    return str(span.trace_id)


def submitted(desk: Desk, *traces: str) -> None:
    """Submit an output with the label cat for each trace; its key is the trace's id."""
    for trace in traces:
        sent = {**output(trace), "probabilities": None, "label": "cat", "confidence": 0.6}
        assert desk.post({**sent, "meta": {"mlflow_trace_id": trace}}).status_code == 201


def written(desk: Desk, uri: str) -> int:
    """Write what is due, as the worker does."""
    ask_for_assessments(desk.database)
    return write(desk.database, "pets", uri)


def on(trace: str) -> list[tuple[str, Any, str]]:
    """Return kind, value and source of the trace's assessments that count."""
    found = mlflow.get_trace(trace).info.assessments
    return sorted((type(one).__name__, one.value, one.source.source_id) for one in found if one.valid is not False)


def waiting(desk: Desk) -> list[dict[str, Any]]:
    return desk.sql(
        "select o.key, a.tries, a.error, a.given_up_at is not null as given_up,"
        " a.next_try_at <= clock_timestamp() as due"
        " from assessments a join outputs o on o.id = a.output_id order by o.key"
    )
