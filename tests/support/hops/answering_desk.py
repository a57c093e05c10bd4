"""Reviewers who answer over HTTP, and annotators of Label Studio whose answers are stored as a pull stores them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from labelloop.answers.annotations import Annotation
from labelloop.answers.people import Person
from labelloop.reading.ids import AnnotationId, ProjectId, TaskId, UserId
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import projects
from sync.pull.resolve import resolve
from tests.support.intake_client import HEADERS, Answer, Intake, output
from tests.support.sync_loop import XML, YAML, region

SPEC = parse("pets", YAML, XML)
FEEDBACK = "/v1/loops/pets/feedback"
PEOPLE = {UserId(1): Person("anna@x.org", "Anna"), UserId(2): Person("ben@x.org", "Ben")}


class Desk(Intake):
    """A loop `pets` whose outputs all wait for people, of cat, dog and eel or as in `of`, and its project in Label
    Studio.
    """

    def __init__(self, database: Database, *, overlap: int = 1, of: LoopSpec = SPEC) -> None:
        self.spec = of.model_copy(update={"overlap": overlap})
        super().__init__(database, self.spec)
        with database.transaction() as conn:
            projects.intend(conn, "pets", "http://nowhere", b"a key")
            projects.made(conn, "pets", ProjectId(7), "http://nowhere")
            project = projects.get(conn, "pets")
        assert project is not None
        self.instance = project.instance

    def submit(self, *keys: str, label: str = "cat", confidence: float = 0.6) -> list[UUID]:
        """Submit outputs with this label, and return their ids."""
        sent = [{**output(key), "probabilities": None, "label": label, "confidence": confidence} for key in keys]
        made = self.post(*sent, *sent[:1])  # one line twice, so that it is NDJSON
        assert made.status_code == 201, made
        return [UUID(one["id"]) for one in made.json["outputs"]]

    def give(self, key: str, who: str, approval: object = True, **more: Any) -> Answer:
        return self.ask("POST", FEEDBACK, json={"key": key, "reviewer_id": who, "approval": approval, **more})

    def open_task(self, output_id: UUID, task_id: int) -> None:
        """Make the output an open task, as a push does."""
        with self.database.transaction() as conn:
            batch = conn.execute(
                "insert into batches (loop, version, size, state) values ('pets', 'm', 1, 'adopted') returning id"
            ).fetchone()
            assert batch is not None
            values = {"id": output_id, "batch": batch["id"], "instance": self.instance, "task": task_id}
            conn.execute(
                """
                insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,
                    champion, ranker, shown_version)
                select id, loop, %(batch)s, %(instance)s, %(task)s, lane, 0.5, 0.5, label, 'pipeline', 'pipeline', 'm'
                from outputs where id = %(id)s
                """,
                values,
            )
            conn.execute("delete from pool where output_id = %(id)s", values)
            for state in ("pushing", "in_review"):
                conn.execute(
                    "update outputs set state = %(state)s::output_state where id = %(id)s", {**values, "state": state}
                )

    def annotate(
        self, output_id: UUID, who: int, label: str | None, *, task_id: int = 1, later_s: float = 0.0, edit: str = ""
    ) -> None:
        """Store what a person of Label Studio answered and wrote into the TextArea `edit`; None as `label` deletes the
        person's annotation.
        """
        written = {"id": "e", "from_name": "edit", "to_name": "answer", "type": "textarea", "value": {"text": [edit]}}
        at = datetime.now(UTC) + timedelta(seconds=later_s)
        number = AnnotationId(output_id.int % (1 << 40) * 10 + who)
        with self.database.transaction() as conn:
            projects.lock_hop(conn, "pets", "answers")
            if label is None:
                present: Sequence[AnnotationId] = [
                    row.id for row in annotation_store.of_outputs(conn, self.instance, [output_id]) if row.id != number
                ]
                annotation_store.write_tombstones(
                    conn, self.instance, {TaskId(task_id): at + timedelta(hours=1)}, present
                )
            else:
                result = [*region(label), *([written] if edit else [])]
                made = Annotation(
                    id=number, task_id=TaskId(task_id), result=result, completed_by=UserId(who),
                    updated_by=UserId(who), was_cancelled=False, ground_truth=False, lead_time_s=1.0,
                    parent_prediction=None, created_at=at, updated_at=at,
                )  # fmt: skip
                annotation_store.add(conn, self.instance, [(made, output_id, None)])
            resolve(conn, self.spec, self.instance, [output_id], PEOPLE)

    def status(self, key: str) -> Any:
        return self.get(f"/v1/loops/pets/outputs/{key}").json

    def feedback(self) -> list[dict[str, Any]]:
        return self.sql(
            "select r.email, f.approval, f.correction, f.comment, f.label from feedback f"
            " join reviewers r on r.id = f.reviewer_id order by r.email, f.model_output_id"
        )


def exported(desk: Desk, since: str | None = None, **query: str) -> tuple[list[dict[str, Any]], str]:
    asked = query if since is None else {**query, "since": since}
    said = desk.web.get(FEEDBACK, query_string=asked, headers=HEADERS)
    assert said.status_code == 200, said.text
    return [json.loads(line) for line in said.text.splitlines()], said.headers.get("Labelloop-Cursor", "")


def unknown_id() -> str:
    return str(uuid4())
