"""Tasks: every task in Label Studio beside Postgres, page by page (I3, I4, I5, I17), with the annotations on them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from console.doctor.deep import stored
from console.doctor.deep.labels import Became, became
from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, Row, stream
from console.doctor.deep.seen import Seen
from console.doctor.deep.values import plain, signed_output
from console.doctor.deep.web import Json, Studio

OURS = "labelloop_"
SHOWS = OURS + "shows_"
"""Prefix of a copy of a field whose name the editor cannot read."""
_FIELD = re.compile(r"\$([A-Za-z0-9_]+)")


@dataclass
class Sweep:
    """Numbers of tasks and annotations that were read. Nothing else of a page is kept."""

    there: set[int] = field(default_factory=set)
    """Ids of all tasks."""
    annotated: set[int] = field(default_factory=set)
    """Ids of the tasks with annotations."""
    annotations: set[int] = field(default_factory=set)
    strays: dict[UUID, list[int]] = field(default_factory=dict)
    """Tasks of an output other than the one that Postgres knows."""
    foreign: set[int] = field(default_factory=set)
    """Known tasks whose data names another output, or none."""


def compare(seen: Seen, conn: Conn, studio: Studio, loop: Loop) -> None:
    """Read all tasks of the loop's project, and compare them with the snapshot. Raises CouldNotLookError."""
    assert loop.project_id is not None
    sweep = Sweep()
    shown = set(_FIELD.findall(loop.labels_xml))
    versions = {
        row["version"]
        for row in conn.execute("select distinct version from batches where loop = %(loop)s", {"loop": loop.name})
    }
    for page in studio.tasks(loop.project_id):
        _page(seen, conn, loop, sweep, page, shown, versions)
    _missing(seen, conn, loop, sweep)
    stored.left(seen, conn, loop, sweep.annotations)


def _page(
    seen: Seen, conn: Conn, loop: Loop, sweep: Sweep, page: list[Json], shown: set[str], versions: set[str]
) -> None:
    data = {task["id"]: plain(task.get("data")) if isinstance(task.get("data"), dict) else {} for task in page}
    signed = {id_: signed_output(one, loop.signing_key) for id_, one in data.items()}
    rows = _rows(conn, loop, list(data), [one for one in signed.values() if one is not None])
    by_id = {row["label_studio_id"]: row for row in rows if row["label_studio_id"] is not None}
    now = became(conn, loop)
    by_output = {row["id"]: row for row in rows}
    outputs: dict[int, Row | None] = {}
    for task in page:
        id_, output = task["id"], signed[task["id"]]
        given = task.get("annotations") or []
        sweep.there.add(id_)
        if given:
            sweep.annotated.add(id_)
        known = by_id.get(id_)
        outputs[id_] = known
        if known is None:
            outputs[id_] = by_output.get(output) if output is not None else None
            _unknown(seen, sweep, task, data[id_], output, outputs[id_])
            continue
        if known["alerted"]:
            continue  # people decide about it
        if known["adopted"]:
            _same_item(seen, known, data[id_], shown)
            continue
        if output != known["id"]:
            sweep.foreign.add(id_)
            what = "its signature is wrong" if output is None else "it names another output"
            seen.wrong("I4", known["key"], f"task {id_}: {what}", output=known["id"])
            continue
        _same_data(seen, known, data[id_], now)
        doubled = Counter(one.get("model_version") for one in task.get("predictions") or [] if isinstance(one, dict))
        for version in versions & {version for version, n in doubled.items() if n > 1}:
            if known["state"] == "in_review":
                seen.wrong("I17", id_, f"{doubled[version]} predictions of version {version}", output=known["id"])
    stored.compare(seen, conn, loop, page, outputs, sweep.annotations)


def _rows(conn: Conn, loop: Loop, ids: list[int], outputs: list[UUID]) -> list[Row]:
    """Return the outputs of these tasks, and those that their data name."""
    return conn.execute(
        """
        with wanted as (
            select output_id from tasks
            where loop = %(loop)s and instance = %(instance)s and label_studio_id = any(%(ids)s)
            union select output_id from adopted_tasks
            where loop = %(loop)s and instance = %(instance)s and label_studio_id = any(%(ids)s)
            union select unnest(%(outputs)s::uuid[])
        )
        select o.id, o.key, o.state::text, o.data, o.label, t.batch_id, d.output_id is not null as adopted,
            coalesce(t.label_studio_id, d.label_studio_id) as label_studio_id,
            exists (select from blind_tasks b where b.output_id = o.id) as blind,
            exists (
                select from alerts a where a.output_id = o.id and a.instance = %(instance)s and a.kind = 'data edited'
                and a.state <> 'rejected' and a.ended_at is null) as alerted
        from wanted w join outputs o on o.id = w.output_id and o.loop = %(loop)s
        left join tasks t on t.output_id = o.id and t.instance = %(instance)s
        left join adopted_tasks d on d.output_id = o.id and d.instance = %(instance)s
        """,
        {"loop": loop.name, "instance": loop.instance, "ids": ids, "outputs": outputs},
    ).fetchall()


def _unknown(
    seen: Seen, sweep: Sweep, task: Json, data: Mapping[str, Any], output: UUID | None, row: Row | None
) -> None:
    """Note a task whose id Postgres does not know, if it says that it is ours."""
    if output is None:
        if OURS + "output" in data:
            seen.wrong("I5", data.get(OURS + "key") or task["id"], f"task {task['id']} has a wrong signature")
    elif row is None:
        seen.wrong("I5", data.get(OURS + "key") or output, f"task {task['id']} names an output that does not exist")
    elif row["label_studio_id"] is not None:
        sweep.strays.setdefault(output, []).append(task["id"])
    elif row["state"] != "pushing":  # else its import is on its way
        seen.wrong("I5", row["key"], f"Postgres does not know task {task['id']}", output=output)


def _same_data(seen: Seen, row: Row, data: Mapping[str, Any], now: Became) -> None:
    """Note if people see another item than the output's, or our fields beside it were changed. `now`: former labels,
    which a task keeps.
    """
    item = {name: value for name, value in data.items() if not name.startswith(OURS)}
    copies = [value for name, value in data.items() if name.startswith(SHOWS)]
    # A task that was made while its label was no label has none, also after an undo.
    labels = {row["label"] or ""} | ({""} if row["blind"] or now else set())
    if item != row["data"] or not all(copy in row["data"].values() for copy in copies):
        names = sorted(name for name in {*item, *row["data"]} if item.get(name) != row["data"].get(name))
        seen.wrong("I4", row["key"], f"the task shows another {', '.join(names[:3]) or 'item'}", output=row["id"])
    elif data.get(OURS + "key") != row["key"] or _today(data.get(OURS + "label"), now) not in labels:
        seen.wrong("I4", row["key"], "the task has another key or label of the pipeline", output=row["id"])


def _today(label: Any, now: Became) -> Any:
    """Return what the pipeline's label in a task is today, "" if it is none of today's."""
    return (now[label] or "") if isinstance(label, str) and label in now else label


def _same_item(seen: Seen, row: Row, data: Mapping[str, Any], shown: set[str]) -> None:
    """Note if people see another item in a task that they made themselves; fields that no one sees may differ."""
    names = sorted(name for name in shown if data.get(name) != row["data"].get(name) and not name.startswith(OURS))
    if names:
        seen.wrong("I4", row["key"], f"the task shows another {', '.join(names[:3])}", output=row["id"])


def _missing(seen: Seen, conn: Conn, loop: Loop, sweep: Sweep) -> None:
    """Note the outputs whose task is not there, and those that have two."""
    rows = stream(
        conn,
        """
        select o.id, o.key, o.state::text, t.label_studio_id from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and t.instance = %(instance)s
        union all
        select o.id, o.key, o.state::text, null from outputs o
        where o.loop = %(loop)s and o.state = 'in_review'
        and not exists (select from tasks t where t.output_id = o.id and t.instance = %(instance)s)
        """,
        {"loop": loop.name, "instance": loop.instance},
    )
    for row in rows:
        task, others = row["label_studio_id"], sweep.strays.get(row["id"], [])
        if task is None:
            seen.wrong("I4", row["key"], "it is open and has no task", output=row["id"])
        elif task not in sweep.there or (others and task in sweep.foreign):
            if others:
                says = f"its task is {others[0]}, and Postgres says {task}"
                seen.wrong("I4", row["key"], says, output=row["id"])
            elif row["state"] == "in_review":
                seen.wrong("I4", row["key"], f"task {task} is gone", output=row["id"])
            else:
                says = f"it is {row['state']}, and its task {task} is gone"
                seen.wrong("I7", row["key"], says, output=row["id"])
        elif others and sum(one in sweep.annotated for one in (task, *others)) < 2:
            says = f"its tasks are {', '.join(map(str, (task, *others)))}"
            seen.wrong("I3", row["key"], says, output=row["id"])
