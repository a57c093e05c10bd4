"""People who answer texts, each at a given time, as a pull stores their annotations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from labelloop.answers.annotations import Annotation
from labelloop.answers.people import Person
from labelloop.labeling import results
from labelloop.reading.ids import AnnotationId, ProjectId, TaskId, UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import projects
from sync.pull.resolve import resolve

BEGIN = datetime(2026, 5, 4, 9, tzinfo=UTC)
NAMES = {1: "Anna", 2: "Ben", 3: "Rob", 4: "Cleo"}


class Said(NamedTuple):
    item: int
    person: int
    label: str
    minute: float = 0.0
    """Time of the answer, in minutes after BEGIN."""
    seconds: float = 5.0
    """Time that the person took."""


def put_to_people(database: Database, loop: str) -> list[UUID]:
    """Make every output of the loop an open task, in the order of the keys `item-0`, `item-1`, ...; return them."""
    with database.transaction() as conn:
        projects.intend(conn, loop, "http://nowhere", b"a key")
        projects.made(conn, loop, ProjectId(7), "http://nowhere")
        rows = conn.execute("select id, key from outputs where loop = %s", (loop,)).fetchall()
        ids: list[UUID] = [row["id"] for row in sorted(rows, key=lambda row: int(row["key"].removeprefix("item-")))]
        [batch] = conn.execute(
            "insert into batches (loop, version, size, state) values (%s, 'm', 1, 'adopted') returning id", (loop,)
        ).fetchall()
        conn.execute(
            """
            insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,
                champion, ranker, shown_version)
            select o.id, o.loop, %(batch)s, p.instance, n.i, o.lane, 0.5, 0.5, o.label, 'pipeline', 'pipeline', 'm'
            from unnest(%(ids)s::uuid[]) with ordinality as n (id, i) join outputs o on o.id = n.id
            join projects p on p.loop = o.loop
            """,
            {"batch": batch["id"], "ids": ids},
        )
        for state in ("waiting", "pushing", "in_review"):
            conn.execute("update outputs set state = %s::output_state where loop = %s and state <> %s::output_state",
                         (state, loop, state))  # fmt: skip
        conn.execute("delete from pool where loop = %s", (loop,))
    return ids


def say(database: Database, spec: LoopSpec, ids: Sequence[UUID], given: Sequence[Said]) -> None:
    """Store these answers and what follows from them."""
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
        assert project is not None
        projects.lock_hop(conn, spec.name, "answers")
        models = {row["id"]: row["label"] for row in conn.execute("select id, label from outputs").fetchall()}
        rows: list[annotation_store.Seen] = []
        for one in given:
            value = results.encode(spec.config, one.label, models[ids[one.item]])
            at = BEGIN + timedelta(minutes=one.minute)
            annotation = Annotation(
                id=AnnotationId(1_000 * (one.item + 1) + one.person),
                task_id=TaskId(one.item + 1),
                completed_by=UserId(one.person),
                updated_by=UserId(one.person),
                result=value,
                was_cancelled=False,
                ground_truth=False,
                lead_time_s=one.seconds,
                parent_prediction=1,
                created_at=at,
                updated_at=at,
            )
            rows.append((annotation, ids[one.item], None))
        annotation_store.add(conn, project.instance, rows)
        users = {UserId(i): Person(f"{name.lower()}@x.example", name) for i, name in NAMES.items()}
        resolve(conn, spec, project.instance, sorted({ids[one.item] for one in given}), users)
