"""Outputs of one trace in the intake of the loop pets, and people's answers about them."""

from __future__ import annotations

from typing import Any

from labelloop.store.database import Database

REVIEWER = """
    insert into reviewers (instance, label_studio_user_id) values ('00000000-0000-0000-0000-000000000001', 1)
    on conflict do nothing
"""


def step_of(trace: str | None, step: str | None, key: str | None = None, **changes: Any) -> dict[str, Any]:
    """An output that goes to people; its key names the trace and the step."""
    named = {name: value for name, value in (("trace", trace), ("step", step)) if value is not None}
    made = {
        "key": key or f"{trace}/{step}",
        "data": {"text": f"text of {step}"},
        "label": "cat",
        "confidence": 0.5,
        **named,
    }
    return {**made, **changes}


def review(database: Database, key: str, label: str | None, *, approval: bool | None = None) -> None:
    """Store a reviewer's answer, in place of an earlier one. `label`: None with approval False is a plain reject."""
    with database.transaction() as conn:
        conn.execute(REVIEWER)
        conn.execute("delete from pool where key = %s", [key])
        for state in ("pushing", "in_review", "answered"):
            conn.execute(
                "update outputs set state = %s::output_state where key = %s and state < %s::output_state",
                [state, key, state],
            )
        conn.execute(
            "insert into answers (output_id, loop, label, agreement, reviewers)"
            " select id, loop, %s, 1, 1 from outputs where key = %s",
            [label, key],
        )
        conn.execute(
            """
            insert into feedback (model_output_id, reviewer_id, approval, label, annotation_id, created_at, updated_at)
            select o.id, r.id, coalesce(%(approval)s, o.label = %(label)s), %(label)s, 1, now(), now()
            from outputs o, reviewers r where o.key = %(key)s
            on conflict on constraint one_feedback_a_reviewer
                do update set approval = excluded.approval, label = excluded.label
            """,
            {"approval": approval, "label": label, "key": key},
        )
