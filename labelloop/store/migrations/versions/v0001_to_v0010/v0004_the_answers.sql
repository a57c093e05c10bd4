-- Answers that nobody can read are known as such, and what was preselected and left as it was is known too.

lock table annotation_versions, feedback, tasks in access exclusive mode;

create table unreadable (
    id                  bigint generated always as identity primary key,
    loop                text not null references loops,
    output_id           uuid not null references outputs,
    annotation_version  bigint not null references annotation_versions,
    reviewer_id         uuid references reviewers,
    reason              text not null,
    ask                 boolean not null,
    comment             text,
    form                bytea not null,
    since               timestamptz not null default now(),
    until               timestamptz
);
create unique index one_unreadable_a_version on unreadable (annotation_version) where until is null;
create index unreadable_by_output on unreadable (output_id);
create index unreadable_by_loop on unreadable (loop) where until is null;
comment on table unreadable is 'Annotations that are no answer because they cannot be read with the loop''s form, and for how long that was so.';
comment on column unreadable.id is 'Our own number of the row.';
comment on column unreadable.loop is 'The loop.';
comment on column unreadable.output_id is 'The output.';
comment on column unreadable.annotation_version is 'The version of the annotation, see annotation_versions.seq.';
comment on column unreadable.reviewer_id is 'The person, see reviewers; null where nobody can be named.';
comment on column unreadable.reason is 'What was given, in which control, and why it cannot be read.';
comment on column unreadable.ask is 'Whether Label Studio asks another person in place of this one. False: the form or the annotation must be mended.';
comment on column unreadable.comment is 'What the person wrote beside it.';
comment on column unreadable.form is 'SHA-256 of the labels.xml that it was read with: with another one it is read again.';
comment on column unreadable.since is 'When it was read.';
comment on column unreadable.until is 'When it became readable, or was changed or deleted; null while it stands.';

alter table tasks add column asked_more integer not null default 0 constraint task_asked_more check (asked_more >= 0);
create index tasks_asked_more on tasks (loop) where asked_more > 0;
comment on column tasks.asked_more is 'How many people more Label Studio was last told to ask, because that many answers cannot be read.';

alter table feedback add column prelabel_kept boolean;
comment on column feedback.prelabel_kept is 'True: what was preselected was submitted untouched. False: the person changed it. Null: nothing was preselected, or it was answered before this was recorded.';
comment on column feedback.approval is 'Whether the answer equals the pipeline''s output as stored, as far as the form can say that, whichever model prelabelled. Null: the output has no label, or the reviewer did not say.';

-- What has no label may be none of an answer: the next pull reads it again, since no form has this hash.
insert into unreadable (loop, output_id, annotation_version, reviewer_id, reason, ask, form)
    select o.loop, f.model_output_id, v.seq, f.reviewer_id, 'not read again yet', false, ''
    from feedback f join outputs o on o.id = f.model_output_id
    join reviewers r on r.id = f.reviewer_id
    join lateral (
        select seq from annotation_versions where instance = r.instance and annotation_id = f.annotation_id
        order by updated_at desc, seq desc limit 1
    ) v on true
    where f.label is null;

create or replace view answer_sources as
    select a.seq as answer_seq, a.loop, a.output_id, said.instance, said.annotation_id,
           said.seq as annotation_version, r.id as reviewer_id,
           coalesce(r.email, 'user ' || said.who) as reviewer, said.updated_at
    from answers a cross join lateral (
        select distinct on (instance, who) * from (
            select distinct on (instance, annotation_id) *, coalesce(updated_by, completed_by) as who
            from annotation_versions where output_id = a.output_id and seen_at <= a.resolved_at
            order by instance, annotation_id, updated_at desc, seq desc
        ) then_
        where not deleted and distrusted is null and not was_cancelled and who is not null
        order by instance, who, updated_at desc, annotation_id desc
    ) said
    left join reviewers r on r.instance = said.instance and r.label_studio_user_id = said.who
    where not exists (
        select from unreadable u where u.annotation_version = said.seq
        and u.since <= a.resolved_at and coalesce(u.until > a.resolved_at, true));
comment on view answer_sources is 'The annotations behind each answer, in the version that held when it was resolved, one a reviewer; without those that nobody could read. None where an answer was taken back.';
