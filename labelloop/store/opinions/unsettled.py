"""Outputs that the loop's people do not settle: those on which they differ, and those that all of them skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from labelloop.store.database import Conn

AT_WORK_DAYS = 30
"""A person who answered or skipped within this many days is taken to be there."""


class Unsettled(NamedTuple):
    """An output without an answer, and one of its annotations in Label Studio."""

    key: str
    annotation_id: int | None
    """The newest one, skips too; None if people answered it without Label Studio."""


def disputed(conn: Conn, loop: str, limit: int) -> list[Unsettled]:
    """Return the outputs on which people differ and nobody else is asked, without gold, in the order of their keys."""
    rows = conn.execute(
        """
        select o.key, (
            select max(annotation_id) from annotations n
            where n.instance = p.instance and n.task_id = t.label_studio_id and n.annotation_id = any(array(
                select annotation_id from annotation_versions
                where instance = p.instance and task_id = t.label_studio_id))) as annotation_id
        from outputs o join tasks t on t.output_id = o.id join projects p on p.loop = o.loop and p.instance = t.instance
        cross join lateral (select label, reviewers from answers where output_id = o.id order by seq desc limit 1) a
        where o.loop = %(loop)s and o.state = 'answered' and o.lane <> 'gold' and a.label is null and a.reviewers > 0
        order by o.key collate "C" limit %(limit)s
        """,
        {"loop": loop, "limit": limit},
    )
    return [Unsettled(**row) for row in rows]


def skipped_by_all(conn: Conn, loop: str, adjudicators: Sequence[str], limit: int) -> list[Unsettled]:
    """Return the open outputs that somebody skipped, and about which no person at work can be asked any more.

    Label Studio asks nobody twice, whether the person answered or skipped. Adjudicators and distrusted people are not
    counted among the people at work. In the order of their keys.
    """
    rows = conn.execute(
        """
        with there as (
            select distinct coalesce(v.updated_by, v.completed_by) as person from annotation_versions v
            join projects p on p.instance = v.instance where p.loop = %(loop)s and not v.deleted
            and v.output_id is not null and v.seen_at > now() - make_interval(days => %(days)s)
            except select d.label_studio_user_id from distrusted_people d join projects p on p.instance = d.instance
            where p.loop = %(loop)s and d.loop = p.loop and d.until is null
            except select r.label_studio_user_id from reviewers r join projects p on p.instance = r.instance
            where p.loop = %(loop)s and lower(r.email) = any(%(adjudicators)s)
        ), on_open as (
            select o.key, n.annotation_id, n.was_cancelled, coalesce(n.updated_by, n.completed_by) as person
            from outputs o join tasks t on t.output_id = o.id
            join projects p on p.loop = o.loop and p.instance = t.instance
            join annotations n on n.instance = t.instance and n.task_id = t.label_studio_id
            and n.annotation_id = any(array(
                select annotation_id from annotation_versions
                where instance = t.instance and task_id = t.label_studio_id))
            where o.loop = %(loop)s and o.state = 'in_review'
        )
        select key, max(annotation_id) as annotation_id from on_open group by key
        having bool_or(was_cancelled) and not exists (
            select from there where person is not null and person <> all(
                array_agg(on_open.person) filter (where on_open.person is not null)))
        order by key collate "C" limit %(limit)s
        """,
        {
            "loop": loop,
            "days": AT_WORK_DAYS,
            "adjudicators": [address.lower() for address in adjudicators],
            "limit": limit,
        },
    )
    return [Unsettled(**row) for row in rows]
