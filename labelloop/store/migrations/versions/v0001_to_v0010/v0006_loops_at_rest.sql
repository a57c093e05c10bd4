-- Loops at rest: archived ones, which can be restored, and what removing one may delete.

alter table loops
    add column archived_at timestamptz,
    add column archived_by text,
    add column removed_at timestamptz,
    add constraint only_an_archived_loop_is_removed check (removed_at is null or archived_at is not null);
comment on column loops.archived_at is 'Since when nothing is pushed, pulled, trained or taken in; null: the loop is at work.';
comment on column loops.archived_by is 'Who archived it.';
comment on column loops.removed_at is 'When its rows in all other tables were deleted. This one stays, so that its folder does not register it anew.';

-- A version still cannot be changed. It is deleted with its whole loop, by a transaction that says so, and not otherwise.
create or replace function versions_stand_still() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old."loop" = current_setting('labelloop.removes_loop', true)
        and exists (select from loops where name = old."loop" and archived_at is not null) then
        return old;
    end if;
    if tg_op = 'DELETE' or to_jsonb(new) - 'stage' <> to_jsonb(old) - 'stage' then
        raise exception 'version % cannot be changed: only its stage moves', old.id
            using errcode = 'check_violation', constraint = 'version_stands_still';
    end if;
    return new;
end $$;

-- Each row that is deleted is looked for in the tables that may point to it.
create index run_items_by_answer on run_items (answer_seq);
create index shadow_items_by_output on shadow_items (output_id);
create index tasks_by_batch on tasks (batch_id);
