"""What could not be read is read again with a new form; what was answered in a project that is lost stays answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from labelloop import lanes
from labelloop.annotations import Annotation
from labelloop.labelstudio.gateway import Gateway
from labelloop.spec import parse
from labelloop.store import annotations as annotation_store
from labelloop.store import loops, outputs, projects
from labelloop.store import tasks as task_store
from labelloop.store.database import Database
from sync.resolve import resolve
from sync.take_in import Pull
from tests.sync_loop import XML, YAML, SyncLoop, region

SPEC = parse("pets", YAML, XML)
NO_GATEWAY = cast("Gateway", None)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def said(id_: int, who: int, result: Sequence[Any]) -> Annotation:
    return Annotation(
        id=id_, task_id=1, result=list(result), completed_by=who, updated_by=who, was_cancelled=False,
        ground_truth=False, lead_time_s=1.0, parent_prediction=None, created_at=AT, updated_at=AT,
    )  # fmt: skip


def test_a_new_form_takes_no_answer_back_that_was_given_in_a_lost_project(database: Database) -> None:
    one = SyncLoop.output(0.5)
    with database.transaction() as conn:
        loops.register(conn, SPEC)
        projects.intend(conn, "pets", "http://127.0.0.1:1", b"k")
        projects.made(conn, "pets", 7, "http://127.0.0.1:1")
        project = projects.get(conn, "pets")
        assert project is not None
        stored, *_ = outputs.insert(conn, "pets", [outputs.Row.of(one, lanes.place(one, SPEC))])
        id_: UUID = stored[0].id
        task_store.leave_pool(conn, id_)
        task_store.set_state(conn, [id_], ["waiting"], "pushing", None)
        task_store.set_state(conn, [id_], ["pushing"], "in_review", None)
        instance = project["instance"]
        nobody = said(11, 1, region("newt"))
        annotation_store.add(conn, instance, [(nobody, id_, None), (said(12, 2, region("cat")), id_, None)])
        resolve(conn, SPEC, instance, [id_], {})
        before = answer(conn)
        assert before == ("answered", "cat", 1)

        task_store.wait_again(conn, "pets", "its project was lost")
        projects.replace(conn, "pets", b"another")
        projects.made(conn, "pets", 8, "http://127.0.0.1:1")
        project = projects.get(conn, "pets")
        assert project is not None
    newts = parse("pets", YAML.replace("eel", "newt"), XML.replace("eel", "newt"))
    report = Pull(database, NO_GATEWAY, newts, project).read_again()
    assert report.outputs == 0
    with database.transaction() as conn:
        assert answer(conn) == before


def answer(conn: Any) -> tuple[str, str | None, int]:
    row = conn.execute(
        "select o.state::text, a.label, (select count(*) from feedback) as n from outputs o left join answers a"
        " on a.output_id = o.id order by a.seq desc limit 1"
    ).fetchone()
    return row["state"], row["label"], row["n"]
