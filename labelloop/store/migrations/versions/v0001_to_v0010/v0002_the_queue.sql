-- The queue: what waits is found by index at any size, says which versions have seen it and why it is worth asking;
-- lanes that measure the rule and the people; second opinions; what other kinds of model say of themselves.

-- All at once and at first: whom that keeps waiting in a circle is found before the long work, not after it.
lock table outputs, pool, batch_items, tasks in access exclusive mode;

alter type lane add value 'control' after 'rule';
alter type lane add value 'gold' before 'pass';
comment on column outputs.lane is 'Why it is, or is not, shown to people: rule (the trigger), control (a random share of what the trigger sends, never ranked), audit (at random), holdout (judges models), gold (its answer was known: checks people), pass.';

alter table outputs
    add column evidence jsonb,
    add column embedding real[],
    add column gold text;
comment on column outputs.evidence is 'What the model said beside its answer, for the query strategies that read it: a committee''s votes, tokens, boxes, samples, labels.';
comment on column outputs.embedding is 'The item as numbers, of the width that the loop says: for diversity and near-duplicates; null where none was sent.';
comment on column outputs.gold is 'The known answer, where the pipeline sent one: it checks people, and no model is taught or judged by it.';

-- The pair of versions as Label Studio's predictions name it, '' where it is not one of today's names: scored again.
create function pg_temp.version_of(scored text, ranked text, own text) returns text language sql stable as $$
    select case
        when scored = own and ranked = own then 'pipeline'
        when scored = own and r.id is not null then 'pipeline+' || left(ranked, 8)
        when s.id is not null and ranked = scored then left(scored, 12)
        when s.id is not null and r.id is not null then left(scored, 12) || '+' || left(ranked, 8)
        else '' end
    from (select) one left join model_versions s on s.id = scored left join model_versions r on r.id = ranked
$$;

-- Bytes are compared, not words of a language: the order is Python's, and the same in every database.
drop index pool_next;
alter table pool
    add column key text collate "C",
    add column version text collate "C",
    add column why text;
update pool w set key = o.key, version = pg_temp.version_of(w.scored_by, w.ranked_by, o.model_version)
    from outputs o where o.id = w.output_id;
alter table pool
    alter column key set not null,
    alter column version set not null,
    drop column scored_by,
    drop column ranked_by;
create index pool_next on pool (loop, lane, version, utility desc, key);
comment on column pool.utility is 'How much an answer would teach, 0 to 1; in every lane but rule a random number, so that they stay unbiased.';
comment on column pool.key is 'The output''s key: of two that are equally useful the first by key comes first.';
comment on column pool.version is 'The pair that gave label and utility, as Label Studio''s predictions name it: the champion, + the ranker where that is another; pipeline: the output''s own model. Any other than today''s pair: scored again, and served last until then.';
comment on column pool.why is 'Why an answer would teach, in words; null until a version of ours has ranked it.';

alter table batch_items
    add column version text,
    add column why text;
update batch_items w set version = pg_temp.version_of(w.scored_by, w.ranked_by, o.model_version)
    from outputs o where o.id = w.output_id;
alter table batch_items
    alter column version set not null,
    drop column scored_by,
    drop column ranked_by;
comment on column batch_items.version is 'As in pool.';
comment on column batch_items.why is 'As in pool.';

alter table tasks
    add column version text,
    add column why text,
    add column overlap integer not null default 1 constraint task_overlap check (overlap >= 1);
update tasks w set version = pg_temp.version_of(w.scored_by, w.ranked_by, o.model_version)
    from outputs o where o.id = w.output_id;
alter table tasks
    alter column version set not null,
    drop column scored_by,
    drop column ranked_by;
comment on column tasks.version is 'As in pool, renewed while the task is open.';
comment on column tasks.why is 'As in pool.';
comment on column tasks.overlap is 'How many people are to answer it, beside what the loop says for all: 2 once a second opinion was asked for.';

drop function pg_temp.version_of;

create table doubts (
    output_id  uuid primary key references outputs,
    loop       text not null references loops,
    doubt      double precision not null constraint doubt_is_a_probability check (doubt between 0 and 1),
    version    text not null
);
create index doubts_most on doubts (loop, doubt desc, output_id);
comment on table doubts is 'How much the newest version doubts an answer that one person gave: the most doubtful are asked once more.';
comment on column doubts.output_id is 'The output, answered by one person.';
comment on column doubts.loop is 'The loop.';
comment on column doubts.doubt is '1 - the probability that the ranker gives the answer''s label.';
comment on column doubts.version is 'The pair of versions in force when it was worked out, as in pool.';

-- Those pushed last are not to be seen again in other words; those asked twice are few.
create index tasks_recent on tasks (loop, pushed_at desc, output_id);
create index tasks_asked_again on tasks (loop) where overlap > 1;
