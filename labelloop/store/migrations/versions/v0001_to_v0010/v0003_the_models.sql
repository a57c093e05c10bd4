-- Models that can be trusted: what a run tried, did and was judged by; who decided; versions beside the champion.

-- All at once and at first: whom that keeps waiting in a circle is found before the long work, not after it.
lock table retrain_runs, run_items, model_versions, promotions in access exclusive mode;

-- asking: it passed the gate, and a person decides. shadow: it predicts beside the champion, and is compared on answers.
alter type run_status add value 'asking';
alter type run_status add value 'shadow';
alter type run_status add value 'stopped';

-- ---- retrain: progress, log, stop --------------------------------------------------------------------------------
alter table retrain_runs
    add column progress jsonb,
    add column log text,
    add column stop_asked_by text,
    add column tried jsonb;
comment on column retrain_runs.progress is 'While it runs: {"step", "done", "of", "at"}.';
comment on column retrain_runs.log is 'The end of what the training process printed.';
comment on column retrain_runs.stop_asked_by is 'Who wants it stopped; null: nobody.';
comment on column retrain_runs.tried is 'What the search over parameters tried, each with its score, and what it chose.';
comment on column retrain_runs.feedback_upto is 'The cut: the run saw answers with seq up to this, and none after. Of a run that was stopped while it was queued: what it would have seen.';

-- A run that is going has made its cut: who asks meanwhile asks for the next one.
drop index one_open_run_a_loop;
create unique index one_running_run_a_loop on retrain_runs (loop) where status = 'running';
create unique index one_queued_run_a_loop on retrain_runs (loop) where status = 'queued';

-- ---- gate: confidences, decisions, shadow ------------------------------------------------------------------------
alter table run_items
    add column weight double precision,
    add column champion_confidence double precision,
    add column challenger_confidence double precision;
comment on column run_items.weight is 'How much the answer counted when the run was taught; null on the hold-out.';
comment on column run_items.champion_confidence is 'Of champion_label, 0 to 1.';
comment on column run_items.challenger_confidence is 'Of challenger_label, 0 to 1.';

comment on column retrain_runs.status is 'queued, running; then the verdict: promoted, refused, asking (a person decides) or shadow (it predicts beside the champion first); or failed, or stopped.';
comment on column model_versions.stage is 'challenger: waits for the gate, a person or the end of its shadow. champion: serves. refused: by the gate or a person. retired: was champion.';

create table decisions (
    id        bigint generated always as identity primary key,
    run_id    uuid not null references retrain_runs,
    decision  text not null constraint decision_is_known check (decision in ('promote', 'refuse', 'stop')),
    by        text not null,
    why       text not null,
    at        timestamptz not null default now()
);
create index decisions_by_run on decisions (run_id);
comment on column decisions.id is 'Number of the decision.';
comment on column decisions.run_id is 'The run.';
comment on column decisions.decision is 'promote, refuse or stop.';
comment on column decisions.by is 'Who decided; gate: after a shadow.';
comment on column decisions.why is 'The reason that was given.';
comment on column decisions.at is 'When.';
comment on table decisions is 'What was decided about a run beside its first verdict, and why; changes of champion are in promotions too.';

create table shadow_items (
    run_id                 uuid not null references retrain_runs,
    output_id              uuid not null references outputs,
    champion_label         text,
    champion_confidence    double precision,
    challenger_label       text,
    challenger_confidence  double precision,
    at                     timestamptz not null default now(),
    primary key (run_id, output_id)
);
comment on column shadow_items.run_id is 'The run whose version is in shadow.';
comment on column shadow_items.output_id is 'The output.';
comment on column shadow_items.champion_label is 'What the champion said.';
comment on column shadow_items.champion_confidence is 'Of champion_label, 0 to 1.';
comment on column shadow_items.challenger_label is 'What the version in shadow said.';
comment on column shadow_items.challenger_confidence is 'Of challenger_label, 0 to 1.';
comment on column shadow_items.at is 'When both said it.';
comment on table shadow_items is 'What a version in shadow said of outputs that came in, beside the champion, before anybody answered them.';

-- ---- the page: who may look, who may decide ----------------------------------------------------------------------
create table access_tokens (
    id          uuid primary key default gen_random_uuid(),
    name        text not null constraint one_token_a_name unique,
    sha256      bytea not null,
    scopes      text[] not null constraint scopes_are_known check (scopes <@ array['review', 'promote']),
    created_at  timestamptz not null default now(),
    revoked_at  timestamptz
);
comment on column access_tokens.id is 'Ours.';
comment on column access_tokens.name is 'Whose it is: decisions are signed with it.';
comment on column access_tokens.sha256 is 'Of the token.';
comment on column access_tokens.created_at is 'When it was made.';
comment on column access_tokens.revoked_at is 'From when on it opens nothing; null: it does.';
comment on table access_tokens is 'Tokens of people and programs for the review pages and their HTTP interface; only their hashes are kept.';
comment on column access_tokens.scopes is 'review: may look. promote: may decide.';

-- ---- versions: they stand still; what they learned from and back; MLflow --------------------------------------------
create function versions_stand_still() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or to_jsonb(new) - 'stage' <> to_jsonb(old) - 'stage' then
        raise exception 'version % cannot be changed: only its stage moves', old.id
            using errcode = 'check_violation', constraint = 'version_stands_still';
    end if;
    return new;
end $$;
create trigger version_stands_still before update or delete on model_versions
    for each row execute function versions_stand_still();

create index run_items_by_output on run_items (output_id);
create index retrain_runs_by_version on retrain_runs (version_id) where version_id is not null;

create view answer_sources as
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
    left join reviewers r on r.instance = said.instance and r.label_studio_user_id = said.who;
comment on view answer_sources is 'The annotations behind each answer, in the version that held when it was resolved, one a reviewer. None where an answer was taken back.';

alter table retrain_runs add column exported text;
comment on column retrain_runs.exported is 'The status with which MLflow has it; null: MLflow does not have it.';
alter table promotions add column exported boolean not null default false;
comment on column promotions.exported is 'Whether MLflow''s alias champion was set by it.';

comment on column outputs.label is 'The model''s most probable label; several labels, spans or a number as the text that labelloop/structured.py describes; null where it named none.';
comment on column answers.agreement is 'How far the reviewers agree on the label, 0 to 1: of one label the share who gave it, of others see labelloop/consensus.py.';
