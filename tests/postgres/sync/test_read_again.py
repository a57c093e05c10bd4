"""Unreadable answers are read again with a new form; answers of a lost project stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from labelloop.answers.annotations import Annotation
from labelloop.answers.people import Person
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import OutputState
from labelloop.queue import lanes
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import AnnotationId, ProjectId, TaskId, UserId
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import loops, outputs, pool, projects
from sync.pull.resolve import resolve
from sync.pull.take_in import Pull
from tests.support.sync_loop import XML, YAML, SyncLoop, region

SPEC = parse("pets", YAML, XML)
NO_GATEWAY = cast("Gateway", None)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def said(id_: int, who: int, result: Sequence[Any]) -> Annotation:
    return Annotation(
        id=AnnotationId(id_), task_id=TaskId(1), result=list(result), completed_by=UserId(who), updated_by=UserId(who),
        was_cancelled=False,
        ground_truth=False, lead_time_s=1.0, parent_prediction=None, created_at=AT, updated_at=AT,
    )  # fmt: skip


def test_a_new_form_takes_no_answer_back_that_was_given_in_a_lost_project(database: Database) -> None:
    with database.transaction() as conn:
        id_, instance = asked(conn, SPEC)
        nobody = said(11, 1, region("newt"))
        annotation_store.add(conn, instance, [(nobody, id_, None), (said(12, 2, region("cat")), id_, None)])
        resolve(conn, SPEC, instance, [id_], {})
        before = answer(conn)
        assert before == ("answered", "cat", 1)
        now = lost(conn)
    newts = parse("pets", YAML.replace("eel", "newt"), XML.replace("eel", "newt"))
    report = Pull(database, NO_GATEWAY, newts, now).read_again()
    assert report.outputs == 0
    with database.transaction() as conn:
        assert answer(conn) == before


def test_what_one_of_two_said_in_a_lost_project_counts_beside_the_other_in_the_new_one(database: Database) -> None:
    both = SPEC.model_copy(update={"overlap": 2})
    anne, ben = Person("anne@pets.example.org", "Anne"), Person("ben@pets.example.org", "Ben")
    with database.transaction() as conn:
        id_, old = asked(conn, both)
        annotation_store.add(conn, old, [(said(11, 1, region("cat")), id_, None)])
        resolve(conn, both, old, [id_], {UserId(1): anne})
        assert answer(conn) == ("in_review", None, 1)
        now = lost(conn)
        new = now.instance
        pushed(conn, id_)

        again = said(21, 5, region("dog"))
        annotation_store.add(conn, new, [(again, id_, None)])
        resolve(conn, both, new, [id_], {UserId(5): anne})
        assert answer(conn) == ("in_review", None, 1), "one person is one, in however many projects"

        annotation_store.add(conn, new, [(said(22, 6, region("dog")), id_, None)])
        resolve(conn, both, new, [id_], {UserId(6): ben})
        assert answer(conn) == ("answered", "dog", 2)


def test_two_people_of_two_projects_are_two_until_the_task_is_deleted_on_purpose(database: Database) -> None:
    both = SPEC.model_copy(update={"overlap": 2})
    with database.transaction() as conn:
        id_, old = asked(conn, both)
        annotation_store.add(conn, old, [(said(11, 1, region("cat")), id_, None)])
        resolve(conn, both, old, [id_], {UserId(1): Person("anne@pets.example.org", "Anne")})
        now = lost(conn)
        new = now.instance
        pushed(conn, id_)
        annotation_store.add(conn, new, [(said(11, 1, region("cat")), id_, None)])
        for _ in range(2):
            resolve(conn, both, new, [id_], {UserId(1): Person("ben@pets.example.org", "Ben")})
        assert answer(conn) == ("answered", "cat", 2), "a number that two Label Studios gave is two people"
        Pull(database, NO_GATEWAY, both, now).withdraw(conn, [id_])
        assert answer(conn) == ("withdrawn", None, 0)


def asked(conn: Conn, spec: LoopSpec) -> tuple[UUID, UUID]:
    """An output in review, and the instance of its project."""
    one = SyncLoop.output(0.5)
    loops.register(conn, spec)
    projects.intend(conn, "pets", "http://127.0.0.1:1", b"k")
    projects.made(conn, "pets", ProjectId(7), "http://127.0.0.1:1")
    stored, *_ = outputs.insert(conn, "pets", [outputs.Row.of(one, lanes.place(one, spec))])
    id_: UUID = stored[0].id
    pool.remove(conn, id_)
    pushed(conn, id_)
    return id_, project(conn).instance


def lost(conn: Conn) -> LoopProject:
    """The project is replaced by another, which is returned; what was open waits."""
    conn.execute("update outputs set state = 'waiting' where state = 'in_review'")
    projects.replace(conn, "pets", b"another")
    projects.made(conn, "pets", ProjectId(8), "http://127.0.0.1:1")
    return project(conn)


def pushed(conn: Conn, id_: UUID) -> None:
    outputs.set_state(conn, [id_], [OutputState.WAITING], OutputState.PUSHING, None)
    outputs.set_state(conn, [id_], [OutputState.PUSHING], OutputState.IN_REVIEW, None)


def project(conn: Conn) -> LoopProject:
    row = projects.get(conn, "pets")
    assert row is not None
    return row


def answer(conn: Any) -> tuple[str, str | None, int]:
    row = conn.execute(
        "select o.state::text, a.label, (select count(*) from feedback) as n from outputs o left join answers a"
        " on a.output_id = o.id order by a.seq desc limit 1"
    ).fetchone()
    return row["state"], row["label"], row["n"]
