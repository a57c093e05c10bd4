"""Callbacks: addresses that are told of facts, and deliveries, written in the transaction of the fact by triggers.

Several places write answers and states, and more may come. A trigger at the commit sees what all of them leave behind,
so a delivery exists if and only if its fact does.
"""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
SQL = """
    create table callbacks (
        id             uuid primary key default gen_random_uuid(),
        loop           text references loops,
        url            text not null constraint callback_url check (length(url) between 1 and 2000),
        secret         text not null constraint callback_secret check (secret ~ '^whsec_[A-Za-z0-9+/]{32,}=*$'),
        events         text[] not null constraint callback_events check (cardinality(events) > 0 and events <@ array[
            'output.answered', 'answer.changed', 'task.completed', 'version.promoted']),
        created_at     timestamptz not null default now(),
        created_by     text,
        paused_at      timestamptz,
        paused_because text
    );
    comment on table callbacks is 'Addresses of receivers that are told of events, by Standard Webhooks.';
    comment on column callbacks.id is 'Our id, by which the commands name it.';
    comment on column callbacks.loop is 'The loop whose events it is told of; null for every loop.';
    comment on column callbacks.url is 'The address to which its deliveries are sent.';
    comment on column callbacks.secret is
        'Key of the signatures, whsec_ and base64. Stored as it is, because a hash cannot sign.';
    comment on column callbacks.events is 'The events that it is told of.';
    comment on column callbacks.created_at is 'Time at which it was added.';
    comment on column callbacks.created_by is 'The person who added it; null if no name was given.';
    comment on column callbacks.paused_at is
        'Time since which nothing is recorded or sent for it, because its receiver answered 410 Gone; null while it is '
        'at work.';
    comment on column callbacks.paused_because is 'The reason of the pause; null while it is at work.';

    create type delivery_state as enum ('pending', 'delivered', 'dead');
    create table deliveries (
        id           uuid primary key default gen_random_uuid(),
        callback_id  uuid not null references callbacks on delete cascade,
        loop         text not null references loops,
        event        text not null,
        fact         jsonb not null,
        body         text,
        state        delivery_state not null default 'pending',
        created_at   timestamptz not null default clock_timestamp(),
        next_try_at  timestamptz not null default clock_timestamp(),
        give_up_at   timestamptz not null default clock_timestamp() + interval '24 hours',
        tries        integer not null default 0,
        last_status  integer,
        last_error   text,
        delivered_at timestamptz,
        constraint delivered_has_its_time check ((state = 'delivered') = (delivered_at is not null))
    );
    create index deliveries_due on deliveries (callback_id, next_try_at) where state = 'pending';
    create index deliveries_dead on deliveries (callback_id, created_at) where state = 'dead';
    create index deliveries_done on deliveries (delivered_at) where state = 'delivered';
    create index deliveries_by_loop on deliveries (loop);
    comment on table deliveries is
        'An event for one callback. The row is written in the transaction of the fact, and sent at least once.';
    comment on column deliveries.id is 'Also the header webhook-id, the same at each try and each repetition.';
    comment on column deliveries.callback_id is 'The callback to whose address it is sent.';
    comment on column deliveries.loop is 'The loop of the event.';
    comment on column deliveries.event is 'The kind of event, such as output.answered.';
    comment on column deliveries.fact is 'The values that the event tells, as they were at the commit.';
    comment on column deliveries.body is
        'The JSON text that is sent. It is written before the first try and then stays; null before.';
    comment on column deliveries.state is
        'pending: to be sent. delivered: the receiver answered 2xx. dead: given up; a person can repeat it.';
    comment on column deliveries.created_at is 'Time of the fact.';
    comment on column deliveries.next_try_at is
        'Earliest time of the next try. While a try is in progress, the end of its lease: a worker that dies leaves '
        'the delivery to the others.';
    comment on column deliveries.give_up_at is 'A try that fails at this time or later is the last one.';
    comment on column deliveries.tries is 'Number of tries that were begun, since the last repetition.';
    comment on column deliveries.last_status is 'HTTP status of the last answer; null if there was none.';
    comment on column deliveries.last_error is 'Why the last try failed; null if none failed since.';
    comment on column deliveries.delivered_at is 'Time at which the receiver accepted it; null before.';

    create table told_answers (
        output_id uuid primary key references outputs,
        label     text
    );
    comment on table told_answers is
        'The label that callbacks were told last for each output that was ever answered, with or without a callback.';
    comment on column told_answers.output_id is 'The output.';
    comment on column told_answers.label is 'The final label; null for a tie, and after the answer was taken back.';
    set local statement_timeout = 0;
    insert into told_answers (output_id, label)
    select o.id, a.label from outputs o cross join lateral (
        select label from answers where output_id = o.id order by seq desc limit 1
    ) a
    where exists (select from output_events e where e.output_id = o.id and e.became = 'answered');

    create function tell_callbacks(of_loop text, of_event text, what jsonb) returns void language sql as $$
        -- The lock: without it a callback that is being removed would fail the transaction of the fact.
        insert into deliveries (callback_id, loop, event, fact)
        select id, of_loop, of_event, what from callbacks
        where paused_at is null and (loop is null or loop = of_loop) and of_event = any(events) order by created_at
        for key share
    $$;

    create function tell_answer(of_output uuid) returns void language plpgsql as $$
    declare
        told record;
        was_told boolean;
        now_is record;
    begin
        -- The lock comes before the answer is read: of two transactions the second sees what the first committed.
        select label into told from told_answers where output_id = of_output for update;
        was_told := found;
        select o."loop" as of_loop, o.state, a.label, jsonb_build_object(
            'output', o.id, 'key', o.key, 'state', o.state, 'answer_label', a.label, 'agreement', a.agreement,
            'reviewers', a.reviewers, 'resolved_at', a.resolved_at,
            'rejected', (select bool_and(approval is false) from feedback where model_output_id = o.id),
            'comments', (select coalesce(jsonb_agg(comment order by created_at), '[]') from feedback
                         where model_output_id = o.id and comment is not null)) as fact
        into now_is
        from outputs o left join lateral (
            select * from answers where output_id = o.id order by seq desc limit 1
        ) a on true
        where o.id = of_output;

        if not was_told then
            if now_is.state <> 'answered' then
                return;
            end if;
            insert into told_answers (output_id, label) values (of_output, now_is.label) on conflict do nothing;
            if found then
                perform tell_callbacks(now_is.of_loop, 'output.answered', now_is.fact);
            else
                perform tell_answer(of_output);  -- another transaction has just told the first answer
            end if;
        elsif told.label is not distinct from now_is.label
            or now_is.state <> 'answered' and now_is.label is not null then
            return;  -- if one more person is asked, the label that was told holds until then
        else
            update told_answers set label = now_is.label where output_id = of_output;
            perform tell_callbacks(now_is.of_loop, 'answer.changed',
                now_is.fact || jsonb_build_object('previous_label', told.label));
        end if;
    end $$;

    create function answers_tell() returns trigger language plpgsql as $$
    begin
        perform tell_answer(new.output_id);
        return null;
    end $$;
    create constraint trigger answers_tell after insert on answers
        deferrable initially deferred for each row execute function answers_tell();

    create function outputs_tell() returns trigger language plpgsql as $$
    begin
        perform tell_answer(new.id);
        perform tell_callbacks(t."loop", 'task.completed', jsonb_build_object(
            'output', new.id, 'key', new.key, 'task', t.label_studio_id,
            'project', (select project_id from projects p where p."loop" = t."loop" and p.instance = t.instance),
            'lane', t.lane, 'prelabel', t.label, 'prelabelled_by', t.champion, 'pushed_at', t.pushed_at,
            'completed_at', now(), 'annotators', (select count(*) from feedback where model_output_id = new.id)))
        from tasks t where t.output_id = new.id;
        return null;
    end $$;
    create constraint trigger outputs_tell after update of state on outputs
        deferrable initially deferred for each row
        when (old.state is distinct from new.state and new.state = 'answered') execute function outputs_tell();

    create function promotions_tell() returns trigger language plpgsql as $$
    begin
        perform tell_callbacks(new."loop", 'version.promoted', to_jsonb(new) - 'loop');
        return null;
    end $$;
    create trigger promotions_tell after insert on promotions for each row execute function promotions_tell();
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
