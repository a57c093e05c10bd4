"""Repeats: a loop with `reuse_answers` asks people once about unchanged content.

A repeat has no answer and no feedback of its own: it points to its original, and its state follows that of the
original. So no estimate, training set or count of work can count one answer twice. Several places write answers and
states, and more may come; a trigger at the commit sees what all of them leave behind.

Functions that look into `repeats` turn sequential scans off: while the table has no statistics, the planner expects a
match on its first pages and would read all of it.
"""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
SQL = """
    create table contents (
        loop        text not null references loops,
        sha256      bytea not null constraint content_sha256_is_32_bytes check (length(sha256) = 32),
        original_id uuid not null references outputs,
        primary key (loop, sha256)
    );
    create index contents_by_original on contents (original_id);
    comment on table contents is
        'The content of each output of loops with reuse_answers. The primary key makes one original for each content.';
    comment on column contents.loop is 'The loop.';
    comment on column contents.sha256 is 'SHA-256 of the content and the source (labelloop/outputs/content.py).';
    comment on column contents.original_id is 'The output about which people are asked for this content.';

    create table repeats (
        output_id   uuid primary key references outputs,
        loop        text not null references loops,
        original_id uuid not null references outputs,
        utility     double precision constraint repeat_utility check (utility between 0 and 1),
        since       timestamptz not null default now()
    );
    create index repeats_by_original on repeats (original_id);
    create index repeats_by_loop on repeats (loop);
    comment on table repeats is
        'Outputs whose content an earlier output of the loop has too. A repeat has no answer of its own: its state '
        'and its answer are those of its original. It counts in no estimate and in no training set.';
    comment on column repeats.output_id is 'The repeat.';
    comment on column repeats.loop is 'The loop of both outputs.';
    comment on column repeats.original_id is 'The output with the same content about which people are or were asked.';
    comment on column repeats.utility is
        'As in pool, for the case that it must be asked itself; null if its lane is pass.';
    comment on column repeats.since is 'Time from which it follows an original.';

    create function repeats_are_sound() returns trigger language plpgsql
        set enable_seqscan = off as $$
    begin
        if exists (select from repeats where output_id = new.original_id)
            or exists (select from repeats where original_id = new.output_id) then
            raise exception 'output % cannot repeat %: one of them is a repeat or an original already',
                new.output_id, new.original_id using errcode = 'check_violation', constraint = 'repeats_are_no_chain';
        end if;
        if (select count(*) from outputs o where o.id in (new.output_id, new.original_id)
            and o."loop" = new."loop" and o.lane <> 'gold') < 2 then
            raise exception 'output % cannot repeat %: another loop, or gold', new.output_id, new.original_id
                using errcode = 'check_violation', constraint = 'repeats_are_of_one_loop';
        end if;
        if exists (select from answers where output_id = new.output_id) then
            raise exception 'output % has an answer of its own', new.output_id
                using errcode = 'check_violation', constraint = 'a_repeat_has_no_answer';
        end if;
        if tg_op = 'INSERT' then
            delete from pool where output_id = new.output_id returning utility into new.utility;
        end if;
        return new;
    end $$;
    create trigger repeats_are_sound before insert or update on repeats
        for each row execute function repeats_are_sound();

    create function answers_end_repeats() returns trigger language plpgsql
        set enable_seqscan = off as $$
    begin
        delete from repeats where output_id = new.output_id;  -- somebody answered this very output
        return null;
    end $$;
    create trigger answers_end_repeats after insert on answers for each row execute function answers_end_repeats();

    create or replace function outputs_keep_to_the_edges() returns trigger language plpgsql as $$
    begin
        if (old.state, new.state) not in (
            ('waiting', 'pushing'), ('waiting', 'withdrawn'), ('waiting', 'answered'), ('waiting', 'passed'),
            ('pushing', 'in_review'), ('pushing', 'waiting'), ('pushing', 'quarantined'),
            ('in_review', 'answered'), ('in_review', 'withdrawn'), ('in_review', 'waiting'),
            ('answered', 'in_review'), ('answered', 'withdrawn'),
            ('quarantined', 'waiting'), ('quarantined', 'answered'),
            ('withdrawn', 'waiting'), ('withdrawn', 'in_review'), ('withdrawn', 'answered'),
            ('passed', 'waiting'), ('passed', 'in_review'), ('passed', 'answered')
        ) and not (
            (old.state, new.state) in (('answered', 'waiting'), ('answered', 'passed'), ('waiting', 'quarantined'))
            and exists (select from repeats where output_id = new.id)
        ) or new.state in ('pushing', 'in_review') and exists (select from repeats where output_id = new.id) then
            raise exception 'output % cannot go from % to %', new.id, old.state, new.state
                using errcode = 'check_violation', constraint = 'output_edges';
        end if;
        insert into output_events (output_id, was, became, reason)
            values (new.id, old.state, new.state, new.state_reason);
        return new;
    end $$;

    create or replace function feedback_changes_are_recorded() returns trigger language plpgsql
        set enable_seqscan = off as $$
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
        insert into feedback_changes (loop, output_id, reviewer_id)
        select of_loop, of_output, of_reviewer
        union all select of_loop, output_id, of_reviewer from repeats where original_id = of_output;
        return null;
    end $$;

    create function repeats_are_recorded() returns trigger language plpgsql
        set enable_seqscan = off as $$
    begin
        if coalesce(new."loop", old."loop") = current_setting('labelloop.removes_loop', true)
            or not exists (select from feedback where model_output_id in (old.original_id, new.original_id)) then
            return null;
        end if;
        perform pg_advisory_xact_lock(
            hashtext('labelloop.feedback_changes'), hashtext(coalesce(new."loop", old."loop")));
        insert into feedback_changes (loop, output_id, reviewer_id)
        select distinct coalesce(new."loop", old."loop"), coalesce(new.output_id, old.output_id), reviewer_id
        from feedback where model_output_id in (old.original_id, new.original_id);
        return null;
    end $$;
    create trigger repeats_are_recorded after insert or update or delete on repeats
        for each row execute function repeats_are_recorded();

    create or replace function tell_answer(of_output uuid) returns void language plpgsql as $$
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
            'original_id', r.original_id, 'original', (select key from outputs where id = r.original_id),
            'answered_by', (select jsonb_agg(coalesce(p.email, p.name, p.id::text) order by f.created_at)
                            from feedback f join reviewers p on p.id = f.reviewer_id
                            where f.model_output_id = r.original_id),
            'rejected', (select bool_and(approval is false) from feedback
                         where model_output_id = coalesce(r.original_id, o.id)),
            'comments', (select coalesce(jsonb_agg(comment order by created_at), '[]') from feedback
                         where model_output_id = coalesce(r.original_id, o.id) and comment is not null)) as fact
        into now_is
        from outputs o left join repeats r on r.output_id = o.id left join lateral (
            select * from answers where output_id = coalesce(r.original_id, o.id) order by seq desc limit 1
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

    create function repeats_follow(of_original uuid) returns void language plpgsql
        set enable_seqscan = off as $$
    declare
        first record;
        heir uuid;
        leads uuid := of_original;
    begin
        if not exists (select from repeats where original_id = of_original) then
            return;
        end if;
        select o.key, o.state, o.state_reason, a.label into first
        from outputs o left join lateral (
            select label from answers where output_id = o.id order by seq desc limit 1
        ) a on true where o.id = of_original;

        if first.state = 'answered' and first.label is not null then
            update outputs o set state = 'answered', state_reason = 'with the answer of ' || first.key
            from repeats r where r.original_id = of_original and o.id = r.output_id and o.state <> 'answered';
        elsif first.state = 'in_review' and first.label is not null then
            null;  -- one more person is asked; until then the first answer holds
        elsif first.state = 'quarantined' then
            update outputs o set state = 'quarantined', state_reason = first.state_reason
            from repeats r where r.original_id = of_original and o.id = r.output_id and o.state = 'waiting';
        else
            if first.state not in ('waiting', 'pushing', 'in_review') then
                -- Nobody answers for the original any more: the next one is asked. All of the rule pass with it.
                select r.output_id into heir from repeats r join outputs o on o.id = r.output_id
                where r.original_id = of_original and o.lane <> 'pass' and (first.state <> 'passed' or o.lane <> 'rule')
                order by o.received_at, o.key limit 1;
            end if;
            if heir is not null then
                leads := heir;
                update outputs set state = 'waiting', state_reason = first.key || ' has no answer any more'
                where id = heir and state <> 'waiting';
                with freed as (delete from repeats where output_id = heir returning *)
                insert into pool (output_id, "loop", lane, utility, key, label, confidence, champion, ranker)
                select o.id, o."loop", o.lane, freed.utility, o.key, o.label, o.confidence, 'pipeline', 'pipeline'
                from freed join outputs o on o.id = freed.output_id;
                update repeats set original_id = heir where original_id = of_original;
                update contents set original_id = heir where original_id = of_original;
            end if;
            update outputs o set state = now_is.state, state_reason = first.state_reason
            from repeats r cross join lateral (
                select case when first.state not in ('waiting', 'pushing', 'in_review') and heir is null
                    or q.lane = 'pass' then 'passed' else 'waiting' end::output_state as state
                from outputs q where q.id = r.output_id
            ) now_is
            where r.original_id = leads and o.id = r.output_id and o.state <> now_is.state;
        end if;
        perform tell_answer(t.output_id) from told_answers t
        where t.output_id in (select output_id from repeats where original_id = leads union all select heir)
        and t.label is distinct from case when heir is null then first.label end;
    end $$;

    create function answers_lead() returns trigger language plpgsql as $$
    begin
        perform repeats_follow(new.output_id);
        return null;
    end $$;
    create constraint trigger answers_lead after insert on answers
        deferrable initially deferred for each row execute function answers_lead();

    create function outputs_lead() returns trigger language plpgsql as $$
    begin
        perform repeats_follow(new.id);
        return null;
    end $$;
    create constraint trigger outputs_lead after update of state on outputs
        deferrable initially deferred for each row
        when (old.state is distinct from new.state) execute function outputs_lead();
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
