"""Adjudications: the answers that are one adjudicator's. And projects know how many people Label Studio asks."""

from __future__ import annotations

from alembic import op

revision = "0037"
down_revision = "0036"
SQL = """
    create table adjudications (
        answer_seq  bigint primary key references answers,
        output_id   uuid not null references outputs,
        loop        text not null references loops,
        reviewer_id uuid not null references reviewers
    );
    create index adjudications_by_output on adjudications (output_id);
    create index adjudications_by_loop on adjudications (loop);
    comment on table adjudications is 'The answers that are final because an adjudicator gave them. Rows are added and \
never changed.';
    comment on column adjudications.answer_seq is 'The answer.';
    comment on column adjudications.output_id is 'The output of the answer.';
    comment on column adjudications.loop is 'The loop of the answer.';
    comment on column adjudications.reviewer_id is 'The adjudicator who gave the answer.';
    alter table projects add column asks integer;
    comment on column projects.asks is 'How many people Label Studio asks about each open task. Null until it was \
told, and while the number is being changed.';
    comment on column tasks.elsewhere is 'True if Label Studio waits for an answer in vain: a person answered \
without this project, or the answer is an adjudicator''s.';
    select record_begins('adjudications', array['answer_seq'], 'r.loop',
        $$ jsonb_build_object('output', r.output_id, 'answer', r.answer_seq, 'reviewer', r.reviewer_id) $$);
"""


def upgrade() -> None:
    op.execute(SQL)
