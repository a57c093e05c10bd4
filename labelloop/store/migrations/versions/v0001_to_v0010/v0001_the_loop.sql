-- The loop, in the order in which the data goes round: loops, outputs, pool, batches, tasks, annotations, feedback,
-- answers, runs, versions. An invariant that a process could forget is a constraint here, and has a name.

create table loops (
    name        text primary key constraint loop_name check (name ~ '^[a-z][a-z0-9_-]{0,40}$'),
    spec        jsonb not null,
    labels_xml  text not null,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);
comment on table loops is 'One feedback loop: what its loop.yaml and labels.xml said when they were last read.';
comment on column loops.spec is 'The checked content of loop.yaml, defaults filled in.';
comment on column loops.labels_xml is 'The labeling config as Label Studio has it.';

create table projects (
    loop              text primary key references loops,
    label_studio_url  text not null,
    project_id        bigint,
    instance          uuid not null default gen_random_uuid(),
    signing_key       bytea not null,
    creating_since    timestamptz,
    model_version     text not null default 'pipeline',
    bookmark          timestamptz,
    swept_at          timestamptz,
    created_at        timestamptz not null default now()
);
comment on table projects is 'Where a loop stands in Label Studio.';
comment on column projects.project_id is 'Null between the intent to create the project and its answer.';
comment on column projects.creating_since is 'When somebody last set out to create it: nobody else tries until that must have failed.';
comment on column projects.instance is 'Our own name for this project of this Label Studio: a re-installed one re-uses its ids.';
comment on column projects.signing_key is 'Signs the key that travels in a task''s data, which any member of the project can edit.';
comment on column projects.model_version is 'The version whose predictions Label Studio shows and ranks by.';
comment on column projects.bookmark is 'Everything that Label Studio changed before this time, by its own clock, is stored here.';

create type lane as enum ('rule', 'audit', 'holdout', 'pass');
create type output_state as enum
    ('passed', 'waiting', 'pushing', 'in_review', 'answered', 'quarantined', 'withdrawn');

create type batch_state as enum ('intent', 'sending', 'adopted', 'abandoned', 'refused');
create type batch_kind as enum ('tasks', 'predictions');
create table batches (
    id           uuid primary key default gen_random_uuid(),
    loop         text not null references loops,
    kind         batch_kind not null default 'tasks',
    state        batch_state not null default 'intent',
    version      text not null,
    size         integer not null,
    created_at   timestamptz not null default now(),
    sent_at      timestamptz,
    resolved_at  timestamptz,
    reason       text
);
create index batches_open on batches (loop, created_at) where state in ('intent', 'sending');
comment on table batches is 'One import into Label Studio, written down before it is sent: it is sent at most once.';
comment on column batches.kind is 'New tasks, each with its prediction; or new predictions on open tasks.';
comment on column batches.version is 'The model_version that its predictions carry.';
comment on column batches.sent_at is 'Set, and committed, just before the request leaves. Null: nothing can have arrived.';

create table outputs (
    id                     uuid primary key default gen_random_uuid(),
    loop                   text not null references loops,
    key                    text not null
        constraint output_key check (key ~ '^[A-Za-z0-9._:/-]{1,200}$'),
    body_sha256            bytea not null,
    group_key              text not null,
    data                   jsonb not null,
    probabilities          jsonb,
    result                 jsonb,
    label                  text,
    confidence             double precision constraint output_confidence check (confidence between 0 and 1),
    model_version          text not null,
    produced_at            timestamptz,
    received_at            timestamptz not null default now(),
    lane                   lane not null,
    inclusion_probability  double precision not null
        constraint output_inclusion check (inclusion_probability between 0 and 1),
    holdout                boolean not null,
    state                  output_state not null,
    state_reason           text,
    batch_id               uuid references batches,
    constraint one_output_a_key unique (loop, key),
    constraint output_holdout unique (id, holdout)
);
create index outputs_by_state on outputs (loop, state);
create index outputs_by_batch on outputs (batch_id) where batch_id is not null;
comment on table outputs is 'What a pipeline''s model said about one item. Written once, by the intake; only its state moves.';
comment on column outputs.key is 'The pipeline''s own name for the item: submitting it twice is submitting it once.';
comment on column outputs.body_sha256 is 'Of the body in canonical form: the same key with another body is refused.';
comment on column outputs.group_key is 'Items that must not be parted between training and hold-out share it; the key where none is given.';
comment on column outputs.label is 'The model''s most probable label; null where it named none.';
comment on column outputs.confidence is 'The model''s probability of that label; null where it gave none, never a made-up 1.';
comment on column outputs.lane is 'Why it is, or is not, shown to people: rule (the trigger), audit (at random), holdout (judges models), pass.';
comment on column outputs.inclusion_probability is 'The chance that an item like this one had of being shown to people.';
comment on column outputs.holdout is 'By a hash of the group key, before any label exists: it judges models and never teaches one.';

create function outputs_keep_to_the_edges() returns trigger language plpgsql as $$
begin
    if (old.state, new.state) not in (
        ('waiting', 'pushing'), ('waiting', 'withdrawn'),
        ('pushing', 'in_review'), ('pushing', 'waiting'), ('pushing', 'quarantined'),
        ('in_review', 'answered'), ('in_review', 'withdrawn'), ('in_review', 'waiting'),
        ('answered', 'in_review'), ('answered', 'withdrawn'),
        ('quarantined', 'waiting'), ('withdrawn', 'waiting'), ('withdrawn', 'in_review'), ('withdrawn', 'answered'),
        ('passed', 'waiting')
    ) then
        raise exception 'output % cannot go from % to %', new.id, old.state, new.state
            using errcode = 'check_violation', constraint = 'output_edges';
    end if;
    insert into output_events (output_id, was, became, reason) values (new.id, old.state, new.state, new.state_reason);
    return new;
end $$;

create table output_events (
    seq        bigint generated always as identity primary key,
    output_id  uuid not null references outputs,
    was        output_state not null,
    became     output_state not null,
    reason     text,
    at         timestamptz not null default clock_timestamp()
);
create index output_events_by_output on output_events (output_id);
comment on table output_events is 'Every change of an output''s state, written by a trigger in the same transaction.';

create trigger outputs_edges before update of state on outputs
    for each row when (old.state is distinct from new.state) execute function outputs_keep_to_the_edges();

create table pool (
    output_id   uuid primary key references outputs,
    loop        text not null references loops,
    lane        lane not null,
    utility     double precision not null constraint pool_utility check (utility between 0 and 1),
    label       text,
    confidence  double precision,
    scored_by   text not null,
    ranked_by   text not null
);
create index pool_next on pool (loop, lane, utility desc, output_id);
comment on table pool is 'The outputs that wait for people, narrow, so that a new champion re-ranks them quickly.';
comment on column pool.utility is 'How much an answer would teach, 0 to 1; for audit and hold-out a random number, so that both stay unbiased.';
comment on column pool.label is 'The prelabel: the champion''s where there is one, else the pipeline''s.';
comment on column pool.scored_by is 'The version that gave label and confidence: the champion, or the pipeline''s own.';
comment on column pool.ranked_by is 'The version that gave the utility: the newest one trained, champion or not, since it is the one that answers teach.';

create table batch_items (
    batch_id    uuid not null references batches,
    output_id   uuid not null references outputs,
    lane        lane not null,
    utility     double precision not null,
    priority    double precision not null,
    label       text,
    confidence  double precision,
    scored_by   text not null,
    ranked_by   text not null,
    primary key (batch_id, output_id)
);
create index batch_items_by_output on batch_items (output_id);
comment on table batch_items is 'What a batch that is on its way carries: rows of the pool, or of tasks, as they were sent. Gone once it is clear what became of it.';

create table tasks (
    output_id        uuid primary key references outputs,
    loop             text not null references loops,
    batch_id         uuid not null references batches,
    instance         uuid not null,
    label_studio_id  bigint not null,
    lane             lane not null,
    utility          double precision not null,
    priority         double precision not null,
    label            text,
    confidence       double precision,
    scored_by        text not null,
    ranked_by        text not null,
    shown_version    text not null,
    pushed_at        timestamptz not null default now(),
    constraint one_output_a_task unique (instance, label_studio_id)
);
create index tasks_by_loop on tasks (loop);
comment on table tasks is 'An output that stands in Label Studio, and the prediction that it shows.';
comment on column tasks.priority is 'Place in the served order, 0 to 1, highest first; Label Studio gets 1 - priority as the score.';
comment on column tasks.shown_version is 'model_version of the prediction that we last put on the task.';

create table pull_requests (
    loop          text not null references loops,
    task_id       bigint not null,
    requested_at  timestamptz not null default now(),
    primary key (loop, task_id)
);
comment on table pull_requests is 'Doorbells not yet answered: tasks that Label Studio said were touched. The truth is read back.';

create table annotation_versions (
    seq                bigint generated always as identity primary key,
    instance           uuid not null,
    annotation_id      bigint not null,
    task_id            bigint not null,
    output_id          uuid references outputs,
    sha256             bytea not null,
    result             jsonb not null,
    completed_by       bigint,
    updated_by         bigint,
    was_cancelled      boolean not null,
    ground_truth       boolean not null default false,
    lead_time_s        double precision,
    parent_prediction  bigint,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    deleted            boolean not null default false,
    distrusted         text,
    seen_at            timestamptz not null default now()
);
-- Not unique: what was said, taken back and said again comes in the same version twice.
create index annotation_versions_newest on annotation_versions (instance, annotation_id, updated_at desc, seq desc);
create index annotation_versions_by_output on annotation_versions (output_id);
create index annotation_versions_by_task on annotation_versions (instance, task_id);
comment on table annotation_versions is 'Every version of every annotation that Label Studio showed us; nothing is ever updated or removed.';
comment on column annotation_versions.output_id is 'Null where the task is none of ours.';
comment on column annotation_versions.deleted is 'A tombstone: Label Studio no longer has the annotation.';
comment on column annotation_versions.distrusted is 'Why it does not count (the task''s signature does not fit, ...); null for one that counts.';

create view annotations as
    select * from (
        select distinct on (instance, annotation_id) *
        from annotation_versions order by instance, annotation_id, updated_at desc, seq desc
    ) newest where not deleted;
comment on view annotations is 'The annotations as Label Studio has them now: the newest version of each, tombstones left out.';

create table reviewers (
    id                    uuid primary key default gen_random_uuid(),
    instance              uuid not null,
    label_studio_user_id  bigint not null,
    email                 text,
    constraint one_reviewer_a_user unique (instance, label_studio_user_id)
);
comment on table reviewers is 'The people who answered. The address is kept because Label Studio forgets it with the user.';

create table feedback (
    id               uuid primary key default gen_random_uuid(),
    model_output_id  uuid not null references outputs,
    reviewer_id      uuid not null references reviewers,
    approval         boolean,
    correction       text,
    comment          text,
    label            text,
    annotation_id    bigint not null,
    lead_time_s      double precision,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    constraint one_feedback_a_reviewer unique (model_output_id, reviewer_id)
);
comment on table feedback is 'What each reviewer says now about each output, read out of Label Studio''s result.';
comment on column feedback.approval is 'True: the model''s label stands. False: it does not. Null: the reviewer did not say.';
comment on column feedback.correction is 'The label it should have been, where it was not approved.';
comment on column feedback.label is 'What the reviewer says the label is: the model''s own, or the correction.';
comment on column feedback.lead_time_s is 'Seconds that the person took, as Label Studio reports them.';

create table answers (
    seq          bigint generated always as identity primary key,
    output_id    uuid not null references outputs,
    loop         text not null references loops,
    label        text,
    agreement    double precision constraint answer_agreement check (agreement between 0 and 1),
    reviewers    integer not null,
    resolved_at  timestamptz not null default now()
);
create index answers_by_output on answers (output_id, seq desc);
create index answers_by_loop on answers (loop, seq);
comment on table answers is 'What the reviewers agreed on, one row for each change: a retrain run sees a fixed cut (seq <= feedback_upto).';
comment on column answers.label is 'Null: no clear answer (a tie), or it was withdrawn.';
comment on column answers.agreement is 'Share of the reviewers who gave this label.';

create type version_stage as enum ('challenger', 'champion', 'refused', 'retired');
create table model_versions (
    id           text primary key constraint version_is_a_sha256 check (id ~ '^[0-9a-f]{64}$'),
    loop         text not null references loops,
    stage        version_stage not null default 'challenger',
    learner      text not null,
    classes      text[] not null,
    size_bytes   bigint not null,
    trained_on   integer not null,
    created_at   timestamptz not null default now()
);
create unique index one_champion_a_loop on model_versions (loop) where stage = 'champion';
comment on table model_versions is 'Fitted learners. The id is the SHA-256 of the skops file that holds the model.';
comment on column model_versions.trained_on is 'Number of answers that it was taught.';

create table promotions (
    loop         text not null references loops,
    epoch        integer not null,
    version_id   text references model_versions,
    previous_id  text references model_versions,
    by           text not null,
    why          text not null,
    at           timestamptz not null default now(),
    constraint one_promotion_an_epoch primary key (loop, epoch)
);
comment on table promotions is 'Every change of champion, roll-backs too. The epoch makes it compare-and-set: who comes second fails.';
comment on column promotions.version_id is 'Null: back to the pipeline''s own outputs.';

create type run_status as enum ('queued', 'running', 'promoted', 'refused', 'failed');
create table retrain_runs (
    id              uuid primary key default gen_random_uuid(),
    loop            text not null references loops,
    why             text not null,
    status          run_status not null default 'queued',
    feedback_upto   bigint,
    seed            bigint not null default 0,
    requested_at    timestamptz not null default now(),
    started_at      timestamptz,
    heartbeat_at    timestamptz,
    finished_at     timestamptz,
    champion_id     text references model_versions,
    version_id      text references model_versions,
    reasons         text[] not null default '{}',
    scores          jsonb,
    error           text
);
create unique index one_open_run_a_loop on retrain_runs (loop) where status in ('queued', 'running');
create index retrain_runs_by_loop on retrain_runs (loop, requested_at desc);
comment on table retrain_runs is 'One attempt to train a better model, with its verdict.';
comment on column retrain_runs.feedback_upto is 'The cut: the run saw answers with seq up to this, and none after.';
comment on column retrain_runs.champion_id is 'Who it was judged against; null: the pipeline''s own outputs.';

create table run_items (
    run_id            uuid not null references retrain_runs,
    output_id         uuid not null,
    part              text not null constraint run_part check (part in ('train', 'holdout')),
    holdout           boolean not null,
    answer_seq        bigint not null references answers,
    label             text not null,
    champion_label    text,
    challenger_label  text,
    primary key (run_id, output_id),
    constraint judged_is_not_taught check (holdout = (part = 'holdout')),
    constraint holdout_is_the_outputs foreign key (output_id, holdout) references outputs (id, holdout)
);
comment on table run_items is 'What a run was taught, and what it was judged on; the constraints keep the two apart.';
