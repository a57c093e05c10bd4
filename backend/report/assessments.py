"""Assessments: write people's answers to the MLflow traces that the outputs came from, if a tracking URI is set.

`python -m backend.report.assessments LOOP` is a process of its own: see mlflow_child.py. A trace gets one feedback for
each reviewer, and one expectation if the reviewers agree on another label than the model's. They are found on the
trace by a name of ours in their metadata and made equal to what Postgres has now. So a second attempt changes nothing,
an edit updates the assessment, and an answer that was taken back is deleted.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid5

from backend.report import mlflow_child
from backend.report.mlflow_child import words
from labelloop.labeling.config import APPROVE, REJECT
from labelloop.labeling.controls import Kind
from labelloop.labeling.kinds.labels import read_labels
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.mlflow import assessments
from labelloop.store.mlflow.assessments import Claimed, Judged, Judgement
from labelloop.store.tables import loops

NAME = "labelloop.assessment"
"""Metadata by which an assessment is found on its trace: `<output>/<reviewer>`, or `<output>/answer`."""
MAX_SOURCE_CHARACTERS = 250
"""Characters of a source's id that every store of MLflow accepts."""
TOLD_TRACES = 3
"""Missing traces that the log names; of the others it gives the number."""
_IDS = UUID("b5b5f3a4-6d0c-4c5e-9a53-0f3d8f1d2c77")
logger = logging.getLogger(__name__)


class _Down(Exception):
    """MLflow does not answer, refuses us, or is not installed."""


def write(database: Database, loop: str, tracking_uri: str) -> int:
    """Write the assessments that are due, and return the number of outputs whose trace is up to date now.

    A trace that cannot be written is tried again after a delay, and does not stop the others. One that MLflow does not
    have is given up. If MLflow is down, all of the loop are postponed.
    """
    with database.transaction() as conn:
        spec = loops.get(conn, loop)
    if spec is None:
        return 0  # the loop was removed just now
    one: Claimed | None = None
    missing: list[Claimed] = []
    n = 0
    try:
        client = _client(tracking_uri)
        while (one := _claim(database, loop)) is not None:
            with database.transaction() as conn:
                judged = assessments.judged(conn, one.output_id)
            try:
                found = _reconcile(client, one, wanted_of(spec, one, judged))
            except Exception as exc:
                _check_is_up(client)
                trouble = words(exc)
                logger.warning("loop %s: output %s: not written to trace %s: %s", loop, one.key, one.trace_id, trouble)
                with database.transaction() as conn:
                    assessments.failed(conn, one, trouble)
                continue
            with database.transaction() as conn:
                if found:
                    assessments.written(conn, one)
                    n += 1
                else:
                    assessments.give_up(conn, one, "MLflow has no such trace")
                    missing.append(one)
    except _Down as exc:
        with database.transaction() as conn:
            is_new = assessments.postpone(conn, loop, str(exc), one)
        level = logging.WARNING if is_new else logging.DEBUG
        logger.log(level, "loop %s: answers wait for MLflow, which is tried once a minute: %s", loop, exc)
    if missing:
        named = ", ".join(f"{one.trace_id} (output {one.key})" for one in missing[:TOLD_TRACES])
        more = f" and {len(missing) - TOLD_TRACES} more" if len(missing) > TOLD_TRACES else ""
        logger.warning("loop %s: answers are not written, because MLflow lacks the traces: %s%s", loop, named, more)
    return n


def _client(tracking_uri: str) -> Any:
    try:
        from mlflow.entities import AssessmentSource, Expectation, Feedback  # noqa: F401 (an old MLflow has none)
        from mlflow.tracing.client import TracingClient

        return TracingClient(tracking_uri)
    except ImportError as exc:
        raise _Down(f"{exc}; pip install --upgrade 'labelloop[mlflow]'") from exc
    except Exception as exc:
        raise _Down(words(exc)) from exc


def _check_is_up(client: Any) -> None:
    try:
        client.store.search_experiments(max_results=1)
    except Exception as exc:
        raise _Down(words(exc)) from exc


def _claim(database: Database, loop: str) -> Claimed | None:
    with database.transaction() as conn:
        return assessments.claim(conn, loop)


def _reconcile(client: Any, one: Claimed, wanted: Mapping[str, Any]) -> bool:
    """Give the trace exactly the wanted assessments of this output. Returns False if MLflow has no such trace."""
    from mlflow.exceptions import MlflowException

    try:
        info = client.get_trace_info(one.trace_id)
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return not wanted  # nothing to write, nothing missing
    found = defaultdict(list)
    for known in info.assessments:
        name = (known.metadata or {}).get(NAME, "")
        if name.startswith(f"{one.output_id}/"):
            found[name].append(known)
    for name, several in found.items():
        for known in several[1:] if name in wanted and _updates(several[0], wanted[name]) else several:
            client.delete_assessment(one.trace_id, known.assessment_id)
    for name, assessment in wanted.items():
        known = next(iter(found.get(name, ())), None)
        if known is None or not _updates(known, assessment):
            client.log_assessment(one.trace_id, assessment)
        elif not _is_same(known, assessment):
            client.update_assessment(one.trace_id, known.assessment_id, assessment)
    return True


def _updates(known: Any, wanted: Any) -> bool:
    """Return whether an update can make `known` the wanted one: MLflow keeps the source and the kind of assessment."""
    return known.source == wanted.source and type(known) is type(wanted)


def _is_same(known: Any, wanted: Any) -> bool:
    return (
        (known.name, known.value, known.rationale or "") == (wanted.name, wanted.value, wanted.rationale or "")
        and (known.metadata or {}).items() >= wanted.metadata.items()
    )  # fmt: skip


# -- what a trace should have ------------------------------------------------------------------------------------


def wanted_of(spec: LoopSpec, one: Claimed, judged: Judged) -> dict[str, Any]:
    """Return the assessments by the name in their metadata."""
    from mlflow.entities import Expectation, Feedback

    made: dict[str, Any] = {}

    def add(kind: Any, about: object, sources: list[str], value: object, label: str | None, **more: Any) -> None:
        name = f"{one.output_id}/{about}"
        metadata = {NAME: name, "labelloop.loop": spec.name, "labelloop.output": one.key}
        if label is not None:
            metadata["labelloop.label"] = label
        made[name] = kind(name=spec.name, value=value, source=_source(sources), metadata=metadata, **more)
        made[name].assessment_id = f"a-{uuid5(_IDS, name).hex}"

    for said in judged.judgements:
        value = _value_of(spec, said)
        if value is not None:
            add(Feedback, said.reviewer_id, [said.reviewer], value, said.label, rationale=said.comment or "")
    answer = judged.answer
    if judged.judgements and answer is not None and answer != judged.model_label and not _only_approves(spec):
        agree = [said.reviewer for said in judged.judgements if said.label == answer]
        people = agree or [said.reviewer for said in judged.judgements]
        add(Expectation, "answer", people, _as_value(spec, answer), answer)
    return made


def _source(people: list[str]) -> Any:
    from mlflow.entities import AssessmentSource

    return AssessmentSource(source_type="HUMAN", source_id=", ".join(people)[:MAX_SOURCE_CHARACTERS])


def _only_approves(spec: LoopSpec) -> bool:
    """Return whether the labels only tell if the model is correct: there is no better one to expect."""
    return spec.config.answer is spec.config.verdict or set(spec.labels) == {APPROVE, REJECT}


def _value_of(spec: LoopSpec, said: Judgement) -> object:
    """Return the label; whether it was approved if the form asks for that, or if there is no label. None if nothing."""
    if spec.config.verdict is not None or _only_approves(spec) or said.label is None:
        return said.approval
    return _as_value(spec, said.label)


def _as_value(spec: LoopSpec, label: str) -> object:
    """Return a number or a list of labels as such, and any other label as its text.

    An answer from before the form asked for them is a text too.
    """
    with suppress(ValueError):
        if spec.config.kind is Kind.NUMBER:
            return json.loads(label)
        if spec.config.kind is Kind.LABELS:
            return read_labels(label)
    return label


def main() -> int:
    def write_due(settings: Settings, database: Database, loop: str) -> None:
        n = write(database, loop, settings.mlflow_tracking_uri)
        if n:
            logger.info("loop %s: answers of %d outputs written to their MLflow traces", loop, n)

    return mlflow_child.main(write_due, sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
