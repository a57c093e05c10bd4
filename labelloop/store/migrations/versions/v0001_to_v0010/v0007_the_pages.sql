-- The review pages: people by name, versions with a name, a verdict against a champion that has changed, figures by day.

-- All at once and at first: whom that keeps waiting in a circle is found before the long work, not after it.
lock table outputs, answers, reviewers, retrain_runs in access exclusive mode;

-- ---- people ------------------------------------------------------------------------------------------------------
alter table reviewers add column name text;
comment on table reviewers is 'The people who answered. Name and address are kept because Label Studio forgets them with the user.';
comment on column reviewers.name is 'First and last name in Label Studio, or what stands before the @ of the address; null until a pull has read it.';

-- ---- versions: a description beside what never changes -------------------------------------------------------------
create table version_descriptions (
    id          bigint generated always as identity primary key,
    version_id  text not null references model_versions,
    name        text constraint version_name check (length(name) between 1 and 60),
    tags        text[] not null default '{}' constraint version_tags check (cardinality(tags) <= 10),
    note        text constraint version_note check (length(note) between 1 and 2000),
    by          text not null,
    at          timestamptz not null default now()
);
create index version_descriptions_newest on version_descriptions (version_id, id desc);
comment on table version_descriptions is 'What people call a version, and what they note about it. Each change is a row; the newest one holds.';
comment on column version_descriptions.id is 'Number of the change.';
comment on column version_descriptions.version_id is 'The version.';
comment on column version_descriptions.name is 'What people call it; null: nothing. Two versions may have the same name.';
comment on column version_descriptions.tags is 'Single words, at most 10.';
comment on column version_descriptions.note is 'Free text; null: none.';
comment on column version_descriptions.by is 'Who wrote it.';
comment on column version_descriptions.at is 'When.';

-- ---- a version that passed the gate while the champion changed is judged again ---------------------------------------
alter table retrain_runs add column judges uuid references retrain_runs;
comment on column retrain_runs.judges is 'The run whose version is judged again, since the champion changed after its verdict; nothing is trained. Null: a run that trains.';
drop index one_queued_run_a_loop;
create unique index one_queued_run_a_loop on retrain_runs (loop) where status = 'queued' and judges is null;
create unique index one_judging_a_run on retrain_runs (judges) where status in ('queued', 'running');

-- ---- figures by day ------------------------------------------------------------------------------------------------
create index outputs_by_day on outputs (loop, received_at) include (lane);
create index answers_by_day on answers (loop, resolved_at);
