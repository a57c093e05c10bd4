"""Answers: feedback beside the annotations (I23), and the newest answer beside the feedback (I24)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

from console.doctor.deep.labels import Became, became
from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, Row, counting, is_there, stream
from console.doctor.deep.readings import Form, form, over_http
from console.doctor.deep.seen import Seen

_SPACE = UUID("8f1d7a52-6f0e-4d0b-9a56-0f6c3c8f2b11")
"""Space of the ids under which answers over HTTP are stored, one for each loop."""
OPEN = ("waiting", "pushing", "in_review")
"""States in which people are asked."""


def feedback(seen: Seen, conn: Conn, loop: Loop) -> None:
    """Compare each feedback with its annotation, and look for annotations without one."""
    now = became(conn, loop)
    read = form(loop.labels_xml, loop.spec.get("answer") or (), now)
    rows = stream(
        conn,
        f"""
        select o.id, o.key, o.label as own, f.label, f.updated_at, r.label_studio_user_id as person, v.seq,
            v.result, v.deleted, v.was_cancelled, v.distrusted, v.output_id, v.updated_at as written_at,
            coalesce(v.updated_by, v.completed_by) as writer
        from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
        left join lateral (
            select * from {counting(conn)}
            where instance = r.instance and annotation_id = f.annotation_id order by updated_at desc, seq desc limit 1
        ) v on true
        where o.loop = %(loop)s
        """,
        {"loop": loop.name},
    )
    for row in rows:
        if not seen.told(row["id"]) and (says := _fault(row, read, now)):
            seen.wrong("I23", row["key"], says, mark=row["seq"], output=row["id"])
    _without(seen, conn, loop)


def _fault(row: Row, read: Form | None, now: Became) -> str:
    """Return what is wrong with a feedback; "" if nothing is."""
    if row["seq"] is None or row["deleted"] or row["was_cancelled"]:
        return "its annotation does not exist, or was skipped"
    if row["distrusted"] is not None:
        return f"its annotation does not count: {row['distrusted']}"
    if row["output_id"] != row["id"] or row["writer"] != row["person"]:
        return "its annotation is about another output, or of another person"
    if row["written_at"] != row["updated_at"]:
        return "its annotation was changed since"
    allowed = over_http(row["result"], row["own"], now)
    several = False
    if allowed is None and read is not None:
        allowed, several = read.labels(row["result"], row["own"]), read.several
    if allowed is None or (_set(row["label"]) if several else row["label"]) in allowed:
        return ""
    return "its label is not the one in the annotation"


def _without(seen: Seen, conn: Conn, loop: Loop) -> None:
    """Note the annotations that count and have neither feedback nor a reason for which they cannot be read."""
    rows = conn.execute(
        f"""
        with newest as (
            select distinct on (v.instance, v.annotation_id) v.*, o.key,
                coalesce(v.updated_by, v.completed_by) as person
            from {counting(conn)} v join outputs o on o.id = v.output_id
            where o.loop = %(loop)s and o.state <> 'withdrawn' and v.instance = any(%(instances)s)
            order by v.instance, v.annotation_id, v.updated_at desc, v.seq desc
        ), counting as (
            select distinct on (instance, output_id, person) * from newest
            where not deleted and not was_cancelled and distrusted is null and person is not null
            order by instance, output_id, person, updated_at desc, annotation_id desc
        )
        select n.output_id, n.key, n.annotation_id, n.seq from counting n
        left join reviewers r on r.instance = n.instance and r.label_studio_user_id = n.person
        where not exists (
            select from feedback f join reviewers s on s.id = f.reviewer_id
            where f.model_output_id = n.output_id
            and (s.id = r.id or s.email = r.email and f.updated_at >= n.updated_at))
        and not exists (select from unreadable u where u.annotation_version = n.seq and u.until is null)
        """,
        {"loop": loop.name, "instances": [loop.instance, uuid5(_SPACE, loop.name)]},
    )
    for row in rows:
        if not seen.told(row["output_id"]):
            says = f"annotation {row['annotation_id']} counts and has no feedback"
            seen.wrong("I23", row["key"], says, mark=row["seq"], output=row["output_id"])


def answers(seen: Seen, conn: Conn, loop: Loop) -> None:
    read = form(loop.labels_xml, loop.spec.get("answer") or ())
    known = is_there(conn, "adjudications")
    final = "exists (select from adjudications j where j.answer_seq = a.seq)" if known else "false"
    forgotten = """r.forgotten_at is not null and exists (
                    select from adjudications j where j.output_id = o.id and j.reviewer_id = r.id)"""
    rows = stream(
        conn,
        f"""
        select o.id, o.key, o.state::text, a.seq, a.label, a.agreement, a.reviewers, {final} as final, (
                select w.label from feedback w join reviewers r on r.id = w.reviewer_id
                where w.model_output_id = o.id and w.label is not null and cardinality(%(adjudicators)s::text[]) > 0
                and (lower(r.email) = any(%(adjudicators)s) or {forgotten if known else "false"})
                order by w.updated_at desc, w.reviewer_id limit 1) as word,
            coalesce(f.labels, '{{}}') as labels, exists (select from repeats r where r.output_id = o.id) as repeats
        from outputs o left join lateral (
            select * from answers where output_id = o.id order by seq desc limit 1
        ) a on true left join lateral (
            select array_agg(label order by reviewer_id) as labels from feedback where model_output_id = o.id
        ) f on true
        where o.loop = %(loop)s and (a.seq is not null or f.labels is not null or o.state = 'answered')
        """,
        {"loop": loop.name, "adjudicators": [str(one).lower() for one in loop.spec.get("adjudicators") or ()]},
    )
    for row in rows:
        if not seen.told(row["id"]) and not row["repeats"] and (says := _not_agreed(row, loop, read)):
            seen.wrong("I24", row["key"], says, mark=row["seq"], output=row["id"])


def _not_agreed(row: Row, loop: Loop, read: Form | None) -> str:
    """Return why the newest answer does not follow from the feedback; "" if it does."""
    said: list[str | None] = row["labels"]
    clear = [label for label in said if label is not None]
    label, enough = row["label"], len(said) >= int(loop.spec.get("overlap") or 1)
    if row["state"] == "answered" and not (row["seq"] and row["reviewers"]):
        return "it is answered and has no answer"
    if row["word"] is not None or row["final"]:
        if not (row["final"] and row["word"] == label and row["reviewers"] == len(said)):
            return "its answer is not that of the adjudicator"
        return "an adjudicator has answered it, and people are asked on" if row["state"] in OPEN else ""
    if label is None:
        one = len(set(clear)) == 1 and len(clear) == len(said)
        by_most = loop.spec.get("consensus", "majority") == "majority"
        return "all reviewers agree, and it has no answer" if one and enough and by_most else ""
    if row["reviewers"] != len(said):
        return f"its answer is of {row['reviewers']} reviewers, and {len(said)} gave feedback"
    if len(set(clear)) == 1 and label != clear[0]:
        return "its answer is not the label that all reviewers gave"
    if read is not None and not read.several:
        if label not in clear:
            return "its answer is a label that no reviewer gave"
        if loop.spec.get("consensus", "majority") == "majority":
            return _not_most(row, clear, len(said))
    elif read is not None:
        wanted = _of_most(clear)
        return "" if _set(label) == wanted else "its answer is not the labels that most reviewers gave"
    return "" if clear else "its answer is a label that no reviewer gave"


def _not_most(row: Row, clear: Sequence[str], asked: int) -> str:
    counts = Counter(clear).most_common(2)
    if counts[0][0] != row["label"] or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return "its answer is not the label that most reviewers gave"
    if row["agreement"] is None or abs(row["agreement"] - counts[0][1] / asked) > 1e-9:
        return "its agreement is not the share of the reviewers who gave the label"
    return ""


def _of_most(clear: Sequence[str]) -> frozenset[Any]:
    """Return the labels that more than half of the reviewers gave, where each answer is several labels."""
    counts = Counter(label for one in clear for label in _set(one))
    return frozenset(label for label, n in counts.items() if 2 * n > len(clear))


def _set(label: str | None) -> frozenset[Any]:
    """Return several labels, as the tables hold them; the text itself if it is no list."""
    try:
        found = json.loads(label or "")
    except ValueError:
        return frozenset([label])
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset([label])
