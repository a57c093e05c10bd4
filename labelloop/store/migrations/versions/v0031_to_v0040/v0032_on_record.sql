-- What is on record, and the states of outputs: the record replaces the table output_events.
insert into record_entries (at, actor, loop, what, key, operation, before, after, reason, salt, said)
select e.at, record_actor(), o.loop, 'outputs', o.id::text, case when e.before is null then 'insert' else 'update' end,
    case when e.before is not null then jsonb_build_object('state', e.before) end,
    jsonb_build_object('state', e.after), e.reason, e.salt,
    case when e.reason is not null then sha256(e.salt || convert_to(e.reason, 'UTF8')) end
from (
    select id as output_id, received_at as at, null as before,
        coalesce((select was from output_events v where v.output_id = w.id order by seq limit 1), state) as after,
        null as reason, 0 as seq, uuid_send(gen_random_uuid()) as salt
    from outputs w
    union all
    select output_id, at, was, became, reason, seq, uuid_send(gen_random_uuid()) from output_events
) e join outputs o on o.id = e.output_id
order by e.at, e.seq;

drop table output_events;
create view output_events as
    select id as seq, key::uuid as output_id, (before ->> 'state')::output_state as was,
        (after ->> 'state')::output_state as became, reason, at
    from record_entries
    where what = 'outputs' and operation = 'update' and before is distinct from after;
comment on view output_events is 'The changes of the states of outputs, from the record.';

create or replace function outputs_keep_to_the_edges() returns trigger language plpgsql as $$
declare
    repeats_another boolean := exists (select from repeats where output_id = new.id);
begin
    if (old.state, new.state) not in (
        ('waiting', 'pushing'), ('waiting', 'withdrawn'), ('waiting', 'answered'), ('waiting', 'passed'),
        ('waiting', 'accepted'), ('accepted', 'waiting'), ('accepted', 'in_review'), ('accepted', 'answered'),
        ('pushing', 'in_review'), ('pushing', 'waiting'), ('pushing', 'quarantined'),
        ('in_review', 'answered'), ('in_review', 'withdrawn'), ('in_review', 'waiting'),
        ('answered', 'in_review'), ('answered', 'withdrawn'),
        ('quarantined', 'waiting'), ('quarantined', 'answered'),
        ('withdrawn', 'waiting'), ('withdrawn', 'in_review'), ('withdrawn', 'answered'),
        ('passed', 'waiting'), ('passed', 'in_review'), ('passed', 'answered')
    ) and not (
        (old.state, new.state) in (('answered', 'waiting'), ('answered', 'passed'), ('answered', 'quarantined'),
                                   ('answered', 'accepted'))
        and (repeats_another or not exists (select from feedback where model_output_id = new.id))
        or (old.state, new.state) = ('waiting', 'quarantined') and repeats_another
    ) or new.state in ('pushing', 'in_review') and repeats_another then
        raise exception 'output % cannot go from % to %', new.id, old.state, new.state
            using errcode = 'check_violation', constraint = 'output_edges';
    end if;
    return new;
end $$;

select record_begins('loops', array['name'], 'r.name',
    $$ jsonb_build_object('archived', r.archived_at is not null, 'removed', r.removed_at is not null) $$,
    array['spec', 'labels_xml', 'created_at', 'archived_by']);
select record_begins('spec_versions', array['loop', 'number'], 'r.loop',
    $$ jsonb_build_object('sha256', encode(r.sha256, 'hex')) $$, array['spec', 'labels_xml', 'created_at']);
select record_begins('projects', array['loop'], 'r.loop',
    $$ jsonb_build_object('project', r.project_id, 'instance', r.instance) $$,
    array['label_studio_url', 'signing_key', 'created_at']);
select record_begins('outputs', array['id'], 'r.loop', $$ jsonb_build_object('state', r.state) $$,
    array['loop', 'key', 'body_sha256', 'group_key', 'data', 'probabilities', 'result', 'label', 'confidence',
        'model_version', 'produced_at', 'received_at', 'lane', 'inclusion_probability', 'holdout', 'evidence',
        'embedding', 'gold', 'triggered', 'source', 'trace', 'step', 'meta', 'spec_version', 'line'],
    'r.state_reason', true);
select record_begins('tasks', array['output_id'], 'r.loop',
    $$ jsonb_build_object('task', r.label_studio_id, 'instance', r.instance, 'overlap', r.overlap) $$,
    array['batch_id', 'lane', 'pushed_at'], bulk => true);
-- The numbers of an answer over HTTP, which has no task, are hashes of a login: no facts, because facts stay for ever.
select record_begins('annotation_versions', array['seq'],
    '(select o.loop from outputs o where o.id = r.output_id)',
    $$ jsonb_build_object('annotation', case when r.task_id <> 0 then r.annotation_id end,
        'task', r.task_id, 'output', r.output_id,
        'user', case when r.task_id <> 0 then r.updated_by end,
        'skipped', r.was_cancelled, 'deleted', r.deleted) $$,
    array['annotation_id', 'updated_by', 'instance', 'sha256', 'result', 'completed_by', 'ground_truth', 'lead_time_s',
        'parent_prediction', 'created_at', 'updated_at', 'distrusted', 'seen_at'], 'r.distrusted');
select record_begins('feedback', array['id'], '(select o.loop from outputs o where o.id = r.model_output_id)',
    $$ jsonb_build_object('output', r.model_output_id, 'reviewer', r.reviewer_id, 'approval', r.approval) $$,
    array['correction', 'comment', 'label', 'annotation_id', 'lead_time_s', 'created_at', 'updated_at',
        'prelabel_kept']);
select record_begins('answers', array['seq'], 'r.loop',
    $$ jsonb_build_object('output', r.output_id, 'agreed', r.label is not null, 'reviewers', r.reviewers) $$,
    array['label', 'agreement', 'resolved_at', 'certainty', 'estimate_id']);
select record_begins('unreadable', array['id'], 'r.loop',
    $$ jsonb_build_object('output', r.output_id, 'annotation_version', r.annotation_version,
        'open', r.until is null) $$,
    array['reviewer_id', 'reason', 'ask', 'comment', 'form', 'since'], 'r.reason');
select record_begins('repeats', array['output_id'], 'r.loop', $$ jsonb_build_object('original', r.original_id) $$,
    array['since']);
select record_begins('outcomes', array['output_id'], '(select o.loop from outputs o where o.id = r.output_id)',
    $$ jsonb_build_object('outcome', r.outcome) $$, array['value', 'decided_at', 'deadline_at']);
select record_begins('model_versions', array['id'], 'r.loop', $$ jsonb_build_object('stage', r.stage) $$,
    array['learner', 'classes', 'size_bytes', 'trained_on', 'created_at', 'accepted']);
select record_begins('promotions', array['loop', 'epoch'], 'r.loop',
    $$ jsonb_build_object('version', r.version_id, 'previous', r.previous_id) $$, array['by', 'why', 'at'], 'r.why');
select record_begins('retrain_runs', array['id'], 'r.loop',
    $$ jsonb_build_object('status', r.status, 'version', r.version_id) $$,
    array['why', 'feedback_upto', 'seed', 'requested_at', 'finished_at', 'champion_id', 'reasons', 'scores', 'error',
        'stop_asked_by', 'judges'], 'coalesce(r.error, r.reasons[1], r.why)');
select record_begins('decisions', array['id'], '(select x.loop from retrain_runs x where x.id = r.run_id)',
    $$ jsonb_build_object('run', r.run_id, 'decision', r.decision) $$, array['by', 'why', 'at'], 'r.why');
select record_begins('version_descriptions', array['id'],
    '(select v.loop from model_versions v where v.id = r.version_id)',
    $$ jsonb_build_object('version', r.version_id) $$, array['name', 'tags', 'note', 'by', 'at']);
select record_begins('certificates', array['id'], 'r.loop',
    $$ jsonb_build_object('in_force', r.ended_at is null, 'revoked', r.revoked_at is not null) $$,
    array['test_id', 'labeller', 'version', 'basis', 'error', 'confidence', 'thresholds', 'made_at', 'replaced',
        'revoked_by'], 'coalesce(r.revoked_because, r.ended_because)');
select record_begins('accepted', array['output_id'], 'r.loop',
    $$ jsonb_build_object('certificate', r.certificate_id, 'revoked', r.revoked_at is not null) $$,
    array['label', 'confidence', 'at']);
select record_begins('access_tokens', array['id'], 'r.loop',
    $$ jsonb_build_object('scopes', r.scopes, 'revoked', r.revoked_at is not null) $$,
    array['name', 'sha256', 'created_at', 'loop', 'source', 'expires_at', 'previous_sha256', 'previous_until',
        'requests_per_minute', 'max_bytes']);
select record_begins('callbacks', array['id'], 'r.loop',
    $$ jsonb_build_object('events', r.events, 'paused', r.paused_at is not null) $$,
    array['url', 'secret', 'created_at', 'created_by'], 'r.paused_because');
select record_begins('adoptions', array['loop'], 'r.loop',
    $$ jsonb_build_object('project', r.project_id, 'adopted', r.adopted_at is not null,
        'released', r.released_at is not null) $$, array['label_studio_url', 'settings', 'tabs', 'batch_id', 'begun_at']);

-- The application may add answers and not change them. In Postgres, the lock needs the right to change them.
create function hold_answers() returns void language plpgsql security definer set search_path = public, pg_temp as $$
begin
    lock table answers in share mode;
end $$;
comment on function hold_answers is 'Let no other transaction add an answer until this one ends.';
