"""Alerts: facts of Label Studio that a person must accept, and the versions of annotations that do not count."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032"
SQL = """
    create table alerts (
        id            bigint generated always as identity primary key,
        loop          text not null references loops,
        kind          text not null constraint alert_kind check (kind in (
            'edited by another', 'not by its author', 'answered work deleted', 'form changed', 'data edited')),
        fact          text not null,
        instance      uuid not null,
        output_id     uuid references outputs,
        task_id       bigint,
        annotation_id bigint,
        person_id     bigint,
        person        text,
        before        text,
        after         text,
        found_at      timestamptz not null default now(),
        ended_at      timestamptz,
        state         text not null default 'open' constraint alert_state check (
            state in ('open', 'accepted', 'rejected')),
        decided_by    text,
        decided_at    timestamptz,
        why           text,
        settled       boolean not null default true,
        constraint decided_alert_has_a_reason check (
            (state = 'open') = (decided_at is null) and (state = 'open') = (decided_by is null)
            and (state = 'open') = (why is null))
    );
    create unique index one_open_alert on alerts (loop, fact) where state = 'open';
    create index alerts_to_settle on alerts (loop) where not settled;
    create index alerts_by_fact on alerts (loop, fact);
    create index alerts_by_output on alerts (output_id);
    create index alerts_in_force on alerts (loop) where kind in ('form changed', 'data edited') and ended_at is null;
    comment on table alerts is
        'What somebody did in Label Studio to work of others. What an open alert covers does not count.';
    comment on column alerts.id is 'Our id, by which commands name it.';
    comment on column alerts.loop is 'The loop.';
    comment on column alerts.kind is 'Kind of the fact.';
    comment on column alerts.fact is 'The kind and what it was done to: one fact has one open alert at most.';
    comment on column alerts.instance is 'Our own id of the project, see projects.';
    comment on column alerts.output_id is 'The output; null if it is about the whole project.';
    comment on column alerts.task_id is 'Label Studio''s id of the task; null if it is about the whole project.';
    comment on column alerts.annotation_id is
        'Label Studio''s id of the annotation; null if it is about a task or the whole project.';
    comment on column alerts.person_id is
        'Label Studio''s id of the person who did it; null if Label Studio does not tell.';
    comment on column alerts.person is 'That person''s address, or `user 7` if it is not known; null as person_id.';
    comment on column alerts.before is 'The earlier content, in few words; null if there was none.';
    comment on column alerts.after is 'The new content, in few words.';
    comment on column alerts.found_at is 'Time at which the worker found it.';
    comment on column alerts.ended_at is
        'For form and data: time at which the worker found that Label Studio has what the loop has; null before, and '
        'for other kinds.';
    comment on column alerts.state is
        'open: nobody has decided. accepted: what was done counts. rejected: it never counts.';
    comment on column alerts.decided_by is 'The person who decided; null while it is open.';
    comment on column alerts.decided_at is 'Time of the decision; null while it is open.';
    comment on column alerts.why is 'Reason of the decision; null while it is open.';
    comment on column alerts.settled is
        'Whether the answers were computed again since the last decision. The worker does it.';

    create table exclusions (
        id                 bigint generated always as identity primary key,
        loop               text not null references loops,
        annotation_version bigint not null references annotation_versions,
        alert_id           bigint not null references alerts,
        reason             text not null,
        ask                boolean not null default false,
        since              timestamptz not null default now(),
        until              timestamptz
    );
    create unique index one_exclusion_an_alert on exclusions (annotation_version, alert_id)
        where until is null;
    create index exclusions_by_alert on exclusions (alert_id);
    create index exclusions_by_loop on exclusions (loop);
    comment on table exclusions is
        'Versions of annotations that do not count, as if they had never been read: the version before counts.';
    comment on column exclusions.id is 'Order of the exclusions.';
    comment on column exclusions.loop is 'The loop.';
    comment on column exclusions.annotation_version is 'The version; of a tombstone, the deletion does not count.';
    comment on column exclusions.alert_id is 'The alert, which is open or rejected.';
    comment on column exclusions.reason is 'Why it does not count, for people.';
    comment on column exclusions.ask is 'Whether somebody else is asked, if nothing of the annotation is left.';
    comment on column exclusions.since is 'Time from which it does not count.';
    comment on column exclusions.until is 'Time from which it counts again; null while it does not.';

    create view counting_versions as
        select v.* from annotation_versions v where not exists (
            select from exclusions x where x.annotation_version = v.seq and x.until is null);
    comment on view counting_versions is 'The rows of annotation_versions without the excluded ones.';
    create view counting_annotations as
        select * from (
            select distinct on (instance, annotation_id) *
            from counting_versions order by instance, annotation_id, updated_at desc, seq desc
        ) newest where not deleted;
    comment on view counting_annotations is
        'The annotations whose answers are read: the newest version of each that is not excluded, without tombstones.';

    create or replace view answer_sources as
        select a.seq as answer_seq, a.loop, a.output_id, said.instance, said.annotation_id,
               said.seq as annotation_version, r.id as reviewer_id,
               coalesce(r.email, 'user ' || said.who) as reviewer, said.updated_at
        from answers a cross join lateral (
            select distinct on (instance, who) * from (
                select distinct on (instance, annotation_id) *, coalesce(updated_by, completed_by) as who
                from annotation_versions v where output_id = a.output_id and seen_at <= a.resolved_at
                and not exists (
                    select from exclusions x where x.annotation_version = v.seq
                    and x.since <= a.resolved_at and coalesce(x.until > a.resolved_at, true))
                order by instance, annotation_id, updated_at desc, seq desc
            ) then_
            where not deleted and distrusted is null and not was_cancelled and who is not null
            order by instance, who, updated_at desc, annotation_id desc
        ) said
        left join reviewers r on r.instance = said.instance and r.label_studio_user_id = said.who
        where not exists (
            select from unreadable u where u.annotation_version = said.seq
            and u.since <= a.resolved_at and coalesce(u.until > a.resolved_at, true));

    alter table callbacks drop constraint callback_events, add constraint callback_events check (
        cardinality(events) > 0 and events <@ array[
            'output.answered', 'answer.changed', 'task.completed', 'version.promoted', 'output.accepted',
            'certificate.withdrawn', 'alert.opened']);
    create function alerts_tell() returns trigger language plpgsql as $$
    begin
        perform tell_callbacks(new."loop", 'alert.opened', jsonb_build_object(
            'alert', new.id, 'kind', new.kind, 'key', (select key from outputs where id = new.output_id),
            'task', new.task_id, 'annotation', new.annotation_id, 'person', new.person, 'before', new.before,
            'after', new.after, 'found_at', new.found_at));
        return null;
    end $$;
    create trigger alerts_tell after insert on alerts for each row
        when (new.state = 'open') execute function alerts_tell();

    select record_begins('alerts', array['id'], 'r.loop',
        $$ jsonb_build_object('kind', r.kind, 'output', r.output_id, 'annotation', r.annotation_id, 'state', r.state,
            'ended', r.ended_at is not null) $$,
        array['fact', 'task_id', 'person_id', 'person', 'before', 'after', 'found_at', 'decided_by', 'why'], 'r.why');
    select record_begins('exclusions', array['id'], 'r.loop',
        $$ jsonb_build_object('annotation_version', r.annotation_version, 'alert', r.alert_id,
            'in_force', r.until is null) $$, array['ask', 'since'], 'r.reason', true);
"""


def upgrade() -> None:
    # psycopg itself: through SQLAlchemy a percent sign would be a placeholder.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL)
