"""Decisions about people: from when to when the answers of a person do not count."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
SQL = """
    create table person_decisions (
        id          bigint generated always as identity primary key,
        loop        text not null references loops,
        reviewer_id uuid not null references reviewers,
        since       timestamptz,
        until       timestamptz,
        ends        bigint references person_decisions,
        by          text not null,
        why         text not null,
        at          timestamptz not null default clock_timestamp(),
        constraint decision_has_an_order check (until > since),
        constraint decision_begins_or_ends check ((since is null) = (ends is not null))
    );
    create unique index one_end_a_decision on person_decisions (ends);
    create index person_decisions_by_loop on person_decisions (loop);
    create index person_decisions_by_reviewer on person_decisions (reviewer_id);
    comment on table person_decisions is 'Decisions that the answers of a person do not count, and those that end \
them. Rows are added and never changed.';
    comment on column person_decisions.id is 'Number of the decision.';
    comment on column person_decisions.loop is 'The only loop that it is about.';
    comment on column person_decisions.reviewer_id is 'The person; it holds for all rows of reviewers with the same \
login.';
    comment on column person_decisions.since is 'Answers that the person wrote at this time or later do not count; \
null for a decision that ends an earlier one.';
    comment on column person_decisions.until is 'Answers written at this time or later count; null if there is no such \
time.';
    comment on column person_decisions.ends is 'The earlier decision that it ends: the answers count again; null for a \
decision that answers do not count.';
    comment on column person_decisions.by is 'The person who decided.';
    comment on column person_decisions.why is 'The reason that was given.';
    comment on column person_decisions.at is 'Time of the decision.';

    create function person_decisions_stay() returns trigger language plpgsql as $$
    begin
        if tg_op = 'DELETE' and old."loop" = current_setting('labelloop.removes_loop', true) then
            return old;
        end if;
        if tg_op = 'UPDATE' and (old.id, old."loop", old.reviewer_id, old.since, old.until, old.ends, old.at)
                is not distinct from (new.id, new."loop", new.reviewer_id, new.since, new.until, new.ends, new.at)
                and current_setting('labelloop.forgets', true) = 'a name' then
            return new;  -- other words, and the same decision
        end if;
        raise exception 'decision % about a person cannot be changed: add one that ends it', old.id
            using errcode = 'check_violation', constraint = 'person_decision_stays';
    end $$;
    create trigger person_decisions_stay before update or delete on person_decisions
        for each row execute function person_decisions_stay();

    create view distrusted_people as
        select d.id as decision, d.loop, d.since, d.until, s.id as reviewer_id, s.instance, s.label_studio_user_id
        from person_decisions d join reviewers r on r.id = d.reviewer_id
        join reviewers s on s.id = r.id or s.email = r.email
        where d.since is not null and not exists (select from person_decisions e where e.ends = d.id);
    comment on view distrusted_people is 'The decisions in force that answers of a person do not count, one row for \
each row of reviewers of the person.';

    alter table unreadable add column decision bigint references person_decisions;
    create index unreadable_by_decision on unreadable (decision) where decision is not null;
    comment on column unreadable.decision is 'The decision by which the answers of its person do not count; null if \
the answer cannot be read.';
    comment on table unreadable is 'Annotations that do not count because they cannot be read with the loop''s form, \
or because their person is distrusted, and the time for which that holds.';

    select record_begins('person_decisions', array['id'], 'r.loop',
        $$ jsonb_build_object('reviewer', r.reviewer_id, 'since', r.since at time zone 'UTC',
            'until', r.until at time zone 'UTC', 'ends', r.ends) $$,
        array['by', 'at'], 'r.why');
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
