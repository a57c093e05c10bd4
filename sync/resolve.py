"""Resolve: what the reviewers of touched outputs say now, and what they agree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop import results
from labelloop.annotations import Annotation
from labelloop.consensus import consensus
from labelloop.feedback import Answer, Feedback, one_a_reviewer
from labelloop.people import Person
from labelloop.spec import LoopSpec
from labelloop.store import annotations as annotation_store
from labelloop.store import doubts, jobs
from labelloop.store import feedback as feedback_store
from labelloop.store import tasks as task_store
from labelloop.store.database import Conn

NO_ANSWER = Answer(None, None, 0)


@dataclass(frozen=True, slots=True)
class Resolved:
    feedback: int = 0
    answers: int = 0
    """Answers that are new or have changed, those that were taken back too."""

    def __add__(self, other: Resolved) -> Resolved:
        return Resolved(self.feedback + other.feedback, self.answers + other.answers)


def resolve(
    conn: Conn, spec: LoopSpec, instance: UUID, output_ids: Collection[UUID], users: Mapping[int, Person]
) -> Resolved:
    """Bring feedback, answers and states of these outputs up to date, in the caller's transaction; twice is once.

    The caller holds the loop's answers. `users`: Label Studio's users, as far as they are known.
    """
    if not output_ids:
        return Resolved()
    outputs = feedback_store.outputs(conn, list(output_ids))
    annotations: dict[UUID, list[Annotation]] = defaultdict(list)
    for row in annotation_store.of_outputs(conn, instance, list(output_ids)):
        annotations[row["output_id"]].append(_annotation(row))

    said = {
        output["id"]: [_feedback(spec, output, annotation) for annotation in one_a_reviewer(annotations[output["id"]])]
        for output in outputs
    }
    agreed = {
        id_: consensus([row.label for row in rows], spec.overlap, spec.config.answer, spec.tolerance)
        for id_, rows in said.items()
    }
    changed = [
        (output["id"], agreed[output["id"]] or NO_ANSWER)
        for output in outputs
        if _differs(output, agreed[output["id"]])
    ]

    everything = [row for rows in said.values() for row in rows]
    people = {row.reviewer for row in everything}
    feedback_store.meet(conn, instance, {person: users.get(person) for person in sorted(people)})
    known = {person: row["id"] for person, row in feedback_store.reviewers(conn, instance).items()}
    feedback_store.replace(conn, list(said), everything, known)
    feedback_store.answer(conn, spec.name, changed)
    doubts.forget(conn, [output_id for output_id, _ in changed])
    # Who is asked once more is waited for; until then the first answer stands.
    done = [output["id"] for output in outputs if _complete(agreed[output["id"]], output["overlap"])]
    undone = [id_ for id_ in agreed if id_ not in done]
    task_store.set_state(conn, done, ["in_review"], "answered", None)
    task_store.set_state(conn, undone, ["answered"], "in_review", "an answer was taken back")
    jobs.ask(conn, jobs.PUSH, spec.name)  # without an answer too: a skipped task leaves its place to another
    if changed:
        jobs.ask_for_more(conn, spec)
    return Resolved(len(everything), len(changed))


def _feedback(spec: LoopSpec, output: Mapping[str, Any], annotation: Annotation) -> Feedback:
    reading = results.read(spec.config, annotation.result, output["label"])
    assert annotation.reviewer is not None
    return Feedback(
        output_id=output["id"],
        reviewer=annotation.reviewer,
        approval=reading.approval,
        correction=reading.correction,
        comment=reading.comment,
        label=reading.label,
        annotation_id=annotation.id,
        lead_time_s=annotation.lead_time_s,
        created_at=annotation.created_at,
        updated_at=annotation.updated_at,
    )


def _complete(answer: Answer | None, overlap: int) -> bool:
    return answer is not None and answer.reviewers >= overlap


def _differs(output: Mapping[str, Any], answer: Answer | None) -> bool:
    """Whether there is something to append: an answer that never was cannot be taken back."""
    if output["answered"] is None:
        return answer is not None
    return Answer(output["answer"], output["agreement"], output["reviewers"]) != (answer or NO_ANSWER)


def _annotation(row: Mapping[str, Any]) -> Annotation:
    return Annotation(
        id=row["annotation_id"],
        **{
            name: row[name]
            for name in (
                "task_id",
                "result",
                "completed_by",
                "updated_by",
                "was_cancelled",
                "ground_truth",
                "lead_time_s",
                "parent_prediction",
                "created_at",
                "updated_at",
            )
        },
    )
