"""Statements about blind tasks beside those that show a prelabel."""

from __future__ import annotations

from labelloop.answers.anchoring import Arms
from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines.blind_tasks import BLIND
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.store.questions.error_rate import NEWEST


def arms(conn: Conn, loop: str) -> list[Arms]:
    """Count the answers to tasks by lane, blind or not, and how many are the label that was shown, or would have been.

    Tasks from before the first draw are left out: other outputs came then. So are answers without a clear label.
    """
    return (
        rows_of(conn, Arms)
        .execute(
            f"""
            select lane, count(*) filter (where blind) as blind,
                count(*) filter (where blind and agreed) as blind_agreed,
                count(*) filter (where not drawn) as shown,
                count(*) filter (where not drawn and agreed) as shown_agreed
            from (
                select t.lane::text as lane, a.label = t.label as agreed, {BLIND} as blind,
                    exists (select from blind_tasks d where d.output_id = o.id) as drawn
                from outputs o join tasks t on t.output_id = o.id join ({NEWEST}) a on a.output_id = o.id
                where o.loop = %(loop)s and o.lane <> 'gold' and {NO_REPEAT} and t.label is not null
                    and a.label is not null and a.reviewers > 0
                    and t.pushed_at >= (select min(drawn_at) from blind_tasks where loop = %(loop)s)
            ) answers group by lane order by lane
            """,
            {"loop": loop},
        )
        .fetchall()
    )
