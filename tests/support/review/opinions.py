"""A loop whose items several people have answered, written straight into Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from labelloop.answers.annotations import Annotation
from labelloop.answers.people import Person
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.reading.ids import AnnotationId, TaskId, UserId
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import loops, outputs, projects
from sync.pull.opinions import settle_opinions
from sync.pull.resolve import resolve

LABELS = ("cat", "dog", "eel")
XML = """<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="single-radio">
<Choice value="cat"/><Choice value="dog"/><Choice value="eel"/></Choices></View>"""
YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  holdout: 0.0\n  audit: 0.0\n'
GOLD = {i: "dog" if i % 2 else "cat" for i in range(12)}
"""Gold of the first items; the prelabel of each item is `cat`."""
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def spec_of(more: str = "", name: str = "pets") -> LoopSpec:
    return parse(name, YAML + more, XML)


def write_items(conn: Conn, spec: LoopSpec, n: int, *, gold: Mapping[int, str] | None = None) -> list[UUID]:
    """Write a loop with items that have a task each; their pipeline said `cat`. Returns the outputs by number."""
    loops.register(conn, spec)
    conn.execute(
        "insert into projects (loop, label_studio_url, signing_key) values (%s, 'http://x', 'key')", (spec.name,)
    )
    [batch] = conn.execute(
        "insert into batches (loop, version, size) values (%s, 'm', 1) returning id", (spec.name,)
    ).fetchall()
    ids = []
    for i in range(n):
        known = (gold or {}).get(i)
        output = Output(f"k{i:04d}", {"text": f"item {i}"}, label="cat", confidence=0.5, model_version="v", gold=known)
        [stored], _, _ = outputs.insert(conn, spec.name, [outputs.Row.of(output, place(output, spec))])
        conn.execute(
            "insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,"
            " champion, ranker, shown_version) select %s, p.loop, %s, p.instance, %s, o.lane, 0.5, 0.5, 'cat',"
            " 'pipeline', 'pipeline', 'v' from projects p join outputs o on o.id = %s where p.loop = %s",
            (stored.id, batch["id"], i + 1, stored.id, spec.name),
        )
        for state in ("pushing", "in_review"):
            conn.execute("update outputs set state = %s where id = %s", (state, stored.id))
        conn.execute("delete from pool where output_id = %s", (stored.id,))
        ids.append(stored.id)
    return ids


def annotate(database: Database, spec: LoopSpec, given: Sequence[tuple[int, int, str]], ids: Sequence[UUID]) -> None:
    """Let people answer, as a pull stores it: rows of item, person (1 and up) and label."""
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
        assert project is not None
        projects.lock_hop(conn, spec.name, "answers")
        rows = []
        for item, person, label in given:
            origin = "prediction" if label == "cat" else "prediction-changed"  # the prelabel is `cat`
            where = {"id": "r", "from_name": "label", "to_name": "text", "type": "choices", "origin": origin}
            value = [{**where, "value": {"choices": [label]}}]
            annotation = Annotation(
                id=AnnotationId(10_000 * (item + 1) + person),
                task_id=TaskId(item + 1),
                completed_by=UserId(person),
                updated_by=None,
                result=value,
                was_cancelled=False,
                ground_truth=False,
                lead_time_s=2.0,
                parent_prediction=1,
                created_at=NOW,
                updated_at=NOW,
            )
            rows.append((annotation, ids[item], None))
        annotation_store.add(conn, project.instance, rows)
        users = {UserId(person): Person(f"p{person}@x.example", f"p{person}") for _, person, _ in given}
        resolve(conn, spec, project.instance, list({ids[item] for item, _, _ in given}), users)


def crowd(database: Database) -> LoopSpec:
    """Two people who look and one who keeps every prelabel; one gold answer is wrong, and two items have no answer."""
    spec = spec_of("  overlap: 2\n  consensus: dawid-skene\n  opinions: {most: 3, sure: 0.8}\n")
    with database.transaction() as conn:
        ids = write_items(conn, spec, 60, gold={**GOLD, 0: "eel"})
    given = []
    for item in range(60):
        truth = GOLD.get(item, LABELS[item % 3])
        looks = ((1, truth), (2, truth))
        keeps = (3, "cat")
        given += [(item, *one) for one in ((*looks, keeps) if item < 12 or item % 4 == 0 else looks)]
    annotate(database, spec, given, ids)
    settle_opinions(database, spec)
    return spec
