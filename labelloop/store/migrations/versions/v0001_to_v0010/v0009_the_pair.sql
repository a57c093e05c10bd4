-- `version` was a text: the champion's first 12 digits, and where another version ranked, + and the first 8 of that.
-- It becomes two columns, so that each can be compared. The name in Label Studio stays: a task that is open meanwhile
-- keeps its prediction.

-- All at once and at first: a process that waits in a circle is found before the long work, not after it.
lock table pool, batch_items, tasks, doubts in access exclusive mode;

-- Few pairs, many rows. '' stands for versions that nobody knows any more, and stays.
create temporary table pairs on commit drop as
    select v.loop, v.version, split_part(v.version, '+', 1) as champion,
        case when strpos(v.version, '+') = 0 then v.version else coalesce(
            (select left(m.id, 12) from model_versions m
             where m.loop = v.loop and left(m.id, 8) = split_part(v.version, '+', 2) order by m.created_at desc limit 1),
            split_part(v.version, '+', 2)) end as ranker
    from (
        select loop, version from pool
        union select loop, version from tasks
        union select loop, version from doubts
        union select b.loop, i.version from batch_items i join batches b on b.id = i.batch_id
    ) v;

drop index pool_next;
alter table pool add column champion text collate "C", add column ranker text collate "C";
update pool w set champion = p.champion, ranker = p.ranker from pairs p where p.loop = w.loop and p.version = w.version;
alter table pool
    alter column champion set not null,
    alter column ranker set not null,
    drop column version;
create index pool_next on pool (loop, lane, champion, ranker, utility desc, key);
comment on column pool.champion is 'The version that gave the label: its first 12 digits; pipeline: the output''s own model.';
comment on column pool.ranker is 'The version that gave the utility, named in the same way; equal to champion where no other version ranks. A row of another pair than the one in force is scored again, and served last until then.';

alter table batch_items add column champion text, add column ranker text;
update batch_items w set champion = p.champion, ranker = p.ranker
    from pairs p, batches b where b.id = w.batch_id and p.loop = b.loop and p.version = w.version;
alter table batch_items
    alter column champion set not null,
    alter column ranker set not null,
    drop column version;
comment on column batch_items.champion is 'As in pool.';
comment on column batch_items.ranker is 'As in pool.';

alter table tasks add column champion text, add column ranker text;
update tasks w set champion = p.champion, ranker = p.ranker from pairs p where p.loop = w.loop and p.version = w.version;
alter table tasks
    alter column champion set not null,
    alter column ranker set not null,
    drop column version;
comment on column tasks.champion is 'As in pool, renewed while the task is open.';
comment on column tasks.ranker is 'As in pool, renewed while the task is open.';

alter table doubts add column champion text, add column ranker text;
update doubts w set champion = p.champion, ranker = p.ranker from pairs p where p.loop = w.loop and p.version = w.version;
alter table doubts
    alter column champion set not null,
    alter column ranker set not null,
    drop column version;
comment on column doubts.champion is 'With ranker the versions in force when the doubt was computed, as in pool.';
comment on column doubts.ranker is 'As in pool.';
