"""Answers come without Label Studio too, and go out as changes since a cursor.

`feedback_changes` has a row for each change of an output's feedback or answer. A transaction takes a lock of the loop
before it takes a number, and keeps the lock until its commit. So a reader that sees a number sees all lower ones.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
SQL = """
    create table feedback_changes (
        seq          bigint generated always as identity primary key,
        loop         text not null references loops,
        output_id    uuid not null references outputs,
        reviewer_id  uuid references reviewers,
        at           timestamptz not null default clock_timestamp()
    );
    create index feedback_changes_by_loop on feedback_changes (loop, seq);
    create index feedback_changes_by_output on feedback_changes (output_id);
    create index feedback_changes_by_reviewer on feedback_changes (reviewer_id);

    comment on table feedback_changes is
        'Changes of feedback and answers in the order of their commits; a cursor of an export is a row of it.';
    comment on column feedback_changes.seq is 'Order of the changes of a loop, and of their commits.';
    comment on column feedback_changes.loop is 'The loop.';
    comment on column feedback_changes.output_id is 'The output.';
    comment on column feedback_changes.reviewer_id is
        'The reviewer whose feedback was written or deleted; null if the answer of all reviewers changed.';
    comment on column feedback_changes.at is 'Time of the change. With seq it tells this database from a restored one.';

    create function feedback_changes_are_recorded() returns trigger language plpgsql as $$
    declare
        of_output uuid;
        of_reviewer uuid;
        of_loop text;
    begin
        if tg_table_name = 'answers' then
            of_output := new.output_id;
        elsif tg_op = 'DELETE' then
            of_output := old.model_output_id;
            of_reviewer := old.reviewer_id;
        else
            of_output := new.model_output_id;
            of_reviewer := new.reviewer_id;
        end if;
        select o.loop into of_loop from outputs o where o.id = of_output;
        if of_loop = current_setting('labelloop.removes_loop', true) then
            return null;
        end if;
        perform pg_advisory_xact_lock(hashtext('labelloop.feedback_changes'), hashtext(of_loop));
        insert into feedback_changes (loop, output_id, reviewer_id) values (of_loop, of_output, of_reviewer);
        return null;
    end $$;
    create trigger feedback_is_recorded after insert or delete on feedback
        for each row execute function feedback_changes_are_recorded();
    create trigger feedback_edits_are_recorded after update on feedback
        for each row when (old.* is distinct from new.*) execute function feedback_changes_are_recorded();
    create trigger answers_are_recorded after insert on answers
        for each row execute function feedback_changes_are_recorded();

    alter table tasks
        add column elsewhere boolean not null default false,
        add column told boolean not null default false;
    create index tasks_answered_elsewhere on tasks (loop) where elsewhere or told;
    comment on column tasks.elsewhere is
        'True if a person answered it without this project, so that Label Studio waits for an answer in vain.';
    comment on column tasks.told is 'True if Label Studio was told not to serve it any more, because of `elsewhere`.';
    comment on column reviewers.email is
        'The login; null if Label Studio did not give it. For a reviewer over HTTP: the reviewer_id that was sent.';
    comment on column reviewers.label_studio_user_id is
        'Label Studio''s id of the user; a hash of the login for a reviewer over HTTP.';

    create or replace function outputs_keep_to_the_edges() returns trigger language plpgsql as $$
    begin
        if (old.state, new.state) not in (
            ('waiting', 'pushing'), ('waiting', 'withdrawn'), ('waiting', 'answered'),
            ('pushing', 'in_review'), ('pushing', 'waiting'), ('pushing', 'quarantined'),
            ('in_review', 'answered'), ('in_review', 'withdrawn'), ('in_review', 'waiting'),
            ('answered', 'in_review'), ('answered', 'withdrawn'),
            ('quarantined', 'waiting'), ('quarantined', 'answered'),
            ('withdrawn', 'waiting'), ('withdrawn', 'in_review'), ('withdrawn', 'answered'),
            ('passed', 'waiting'), ('passed', 'answered')
        ) then
            raise exception 'output % cannot go from % to %', new.id, old.state, new.state
                using errcode = 'check_violation', constraint = 'output_edges';
        end if;
        insert into output_events (output_id, was, became, reason)
            values (new.id, old.state, new.state, new.state_reason);
        return new;
    end $$;
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
