-- The record itself: entries, who acted, the chain of hashes, and the function that puts a table on record.
set local statement_timeout = 0;
select set_config('labelloop.actor', 'labelloop migrate', true);

create table record_actors (
    id   integer generated always as identity primary key,
    name text constraint one_actor_a_name unique
);
comment on table record_actors is 'The people, programs and services that change something. Entries of the record name them by id.';
comment on column record_actors.id is 'Our id. It stays when the name is deleted.';
comment on column record_actors.name is
    'Name of the person or program, or the role in the database if none was given. Null after it was deleted for privacy.';

create table record_entries (
    id        bigint generated always as identity primary key,
    at        timestamptz not null default clock_timestamp(),
    actor     integer not null,
    loop      text,
    what      text not null,
    key       text not null,
    operation text not null constraint operation_is_known check (operation in ('insert', 'update', 'delete', 'forget')),
    before    jsonb,
    after     jsonb,
    reason    text,
    salt      bytea,
    said      bytea,
    content   bytea
);
-- No foreign keys: their checks would cost more than the entries, and a removed loop keeps its entries.
create index record_states_of_outputs on record_entries ((key::uuid)) where what = 'outputs' and operation = 'update';
comment on table record_entries is 'The record: an entry for each change of state, written by triggers in the transaction of the change. Never updated.';
comment on column record_entries.id is 'Order in which the entries were written. A transaction that was rolled back leaves a gap.';
comment on column record_entries.at is 'Time of the change, by the clock of the database.';
comment on column record_entries.actor is 'The person or program that made it, see record_actors.';
comment on column record_entries.loop is 'The loop; null if it concerns none or all.';
comment on column record_entries.what is 'The table of the row that changed.';
comment on column record_entries.key is 'Primary key of that row; several columns are joined by slashes.';
comment on column record_entries.operation is 'insert, update or delete; forget if the salt and the reasons of this row were deleted.';
comment on column record_entries.before is 'The recorded facts before the change, such as the state; null for a new row.';
comment on column record_entries.after is 'The recorded facts after the change; null for a deleted row.';
comment on column record_entries.reason is 'The reason in words; null if none was given, or if it was deleted for privacy. Not in the chain itself, see said.';
comment on column record_entries.salt is 'Random bytes that said and content begin with. Not in the chain. Null after it was deleted for privacy: then nobody can test a guess.';
comment on column record_entries.said is 'SHA-256 of salt and reason; null without a reason.';
comment on column record_entries.content is 'SHA-256 of salt and the content columns of the row, see recorded_tables. Null if the content did not change.';

create table record_seals (
    seq       bigint primary key,
    record_id bigint not null constraint one_seal_an_entry unique,
    hash      bytea not null constraint seal_is_32_bytes check (length(hash) = 32)
);
comment on table record_seals is 'The chain: each entry of the record once, in the order of sealing. Never updated.';
comment on column record_seals.seq is 'Place in the chain, from 1, without gaps.';
comment on column record_seals.record_id is 'The entry, see record_entries.id.';
comment on column record_seals.hash is 'SHA-256 of the hash before, the place and the entry; docs/operators/record.md has the bytes.';

create table record_sealing (
    only_row boolean primary key default true constraint record_sealing_has_one_row check (only_row),
    chain    uuid not null default gen_random_uuid(),
    horizon  bigint not null default 0,
    mark     bigint,
    mark_xid xid8
);
insert into record_sealing default values;
comment on table record_sealing is 'How far the chain has come. It has one row.';
comment on column record_sealing.only_row is 'Always true.';
comment on column record_sealing.chain is 'Our id of this chain. The first hash rests on it.';
comment on column record_sealing.horizon is 'Every entry with an id up to this one is sealed, and no transaction can still add one.';
comment on column record_sealing.mark is 'The next horizon: the newest id when mark_xid was noted.';
comment on column record_sealing.mark_xid is 'When all transactions before this one have ended, mark becomes the horizon.';

create table recorded_tables (
    name    text primary key,
    keys    text[] not null,
    loop    text not null,
    facts   text not null,
    content text not null,
    key     text not null
);
comment on table recorded_tables is 'The tables that are on record, and what an entry about one of their rows holds. Written by record_begins.';
comment on column recorded_tables.name is 'The table.';
comment on column recorded_tables.keys is 'The columns of its primary key.';
comment on column recorded_tables.loop is 'Expression for the loop of a row r.';
comment on column recorded_tables.facts is 'Expression for the facts of a row r: jsonb without texts, names or data.';
comment on column recorded_tables.content is 'Expression for the bytes of the content columns of a row r.';
comment on column recorded_tables.key is 'Expression for the key of a row r.';

create function record_actor() returns integer language plpgsql as $$
declare
    who text := coalesce(nullif(current_setting('labelloop.actor', true), ''), 'role ' || session_user
        || coalesce(' by ' || nullif(current_setting('application_name'), ''), ''));
    known integer;
begin
    select a.id into known from public.record_actors a where a.name = who;
    if known is null then
        insert into public.record_actors (name) values (who) on conflict (name) do update set name = excluded.name
        returning id into known;
    end if;
    return known;
end $$;
comment on function record_actor is 'The id of who acts now: the setting labelloop.actor, else the role and the program.';

create function record_begins(
    of_table text, keys text[], of_loop text, facts text, content text[] default '{}', reason text default 'null',
    bulk boolean default false
) returns void language plpgsql as $body$
-- Put a table on record. Expressions name the row r. `bulk` suits tables whose facts change for many rows in one
-- statement. Rows that are there already get an entry.
declare
    key text := (select string_agg(format('r.%I::text', k), ' || ''/'' || ' order by n)
        from unnest(keys) with ordinality u (k, n));
    join_on text := (select string_agg(format('o.key_%1$s = n.key_%1$s', n), ' and ' order by n)
        from unnest(keys) with ordinality u (k, n));
    key_columns text := (select string_agg(format('r.%I as key_%s', k, n), ', ' order by n)
        from unnest(keys) with ordinality u (k, n));
    -- The bytes hold the number of a type, and that of an enum differs between databases. So enums go in as texts.
    bytes text := (select format('record_send(row(%s))', string_agg(
            format(case when t.typtype = 'e' then 'r.%I::text' else 'r.%I' end, c), ', ' order by n))
        from unnest(content) with ordinality u (c, n)
        join pg_attribute a on a.attrelid = of_table::regclass and a.attname = c join pg_type t on t.oid = a.atttypid);
    watched text[] := array(
        select distinct c from unnest(content || keys || case when bulk then '{}' else array(
            select m.hit[1] from regexp_matches(facts, '\mr\.(\w+)', 'g') m (hit)) end) c order by c);
    digests constant text := $$ r.salt, case when r.reason is not null then sha256(r.salt || convert_to(r.reason, 'UTF8')) end $$;
    salted constant text := $$ uuid_send(gen_random_uuid()) as salt $$;
    why constant text := format($$ coalesce(%s, nullif(current_setting('labelloop.reason', true), '')) as reason $$, reason);
    head constant text := $$ returns trigger language plpgsql security definer set search_path = public, pg_temp as $f$
        declare
            who integer := record_actor();
        begin $$;
    name text;
begin
    if bytes is null then
        bytes := 'null::bytea';
    end if;
    if cardinality(content) > 0 and (select count(*) from pg_attribute a where a.attrelid = of_table::regclass
            and a.attname = any(content) and not a.attisdropped) <> cardinality(content) then
        raise exception 'table % lacks one of the columns %', of_table, content;
    end if;
    foreach name in array array['inserted', 'updated', 'edited', 'deleted'] loop
        execute format('drop trigger if exists %I on %I', 'record_' || name, of_table);
    end loop;

    execute format('create or replace function %I() ', 'record_' || of_table || '_inserted') || head || format($$
            insert into record_entries (actor, loop, what, key, operation, after, reason, salt, said, content)
            select who, r.loop, %1$L, r.key, 'insert', r.facts, r.reason, %2$s, sha256(r.salt || r.bytes)
            from (select %3$s as loop, %4$s as key, %5$s as facts, %6$s as bytes, %7$s, %8$s from fresh r) r;
            return null;
        end $f$ $$, of_table, digests, of_loop, key, facts, bytes, why, salted);
    execute format('create trigger record_inserted after insert on %I referencing new table as fresh
        for each statement execute function %I()', of_table, 'record_' || of_table || '_inserted');

    execute format('create or replace function %I() ', 'record_' || of_table || '_deleted') || head || format($$
            insert into record_entries (actor, loop, what, key, operation, before, reason, salt, said)
            select who, r.loop, %1$L, r.key, 'delete', r.facts, r.reason, %2$s
            from (select %3$s as loop, %4$s as key, %5$s as facts, nullif(current_setting('labelloop.reason', true), '')
                as reason, %6$s from gone r) r
            where r.loop is distinct from current_setting('labelloop.removes_loop', true);
            return null;
        end $f$ $$, of_table, digests, of_loop, key, facts, salted);
    execute format('create trigger record_deleted after delete on %I referencing old table as gone
        for each statement execute function %I()', of_table, 'record_' || of_table || '_deleted');

    if bulk then
        execute format('create or replace function %I() ', 'record_' || of_table || '_updated') || head || format($$
            insert into record_entries (actor, loop, what, key, operation, before, after, reason, salt, said)
            select who, r.loop, %1$L, r.key, 'update', r.before, r.facts, r.reason, %2$s
            from (
                select n.*, o.facts as before, %3$s
                from (select %4$s, %5$s as facts from gone r offset 0) o
                join (select %4$s, %6$s as loop, %7$s as key, %5$s as facts, %8$s from fresh r offset 0) n on %9$s
                where o.facts is distinct from n.facts
            ) r;
            return null;
        end $f$ $$, of_table, digests, $$ case when n.reason is not null then uuid_send(gen_random_uuid()) end as salt $$,
            key_columns, facts, of_loop, key, why, join_on);
        execute format('create trigger record_updated after update on %I referencing old table as gone
            new table as fresh for each statement execute function %I()', of_table, 'record_' || of_table || '_updated');
    end if;
    if cardinality(watched) > 0 then
        execute format('create or replace function %I() ', 'record_' || of_table || '_edited') || head || format($$
            insert into record_entries (actor, loop, what, key, operation, before, after, reason, salt, said, content)
            -- A row with another key is a new row, and the one with the key before is gone.
            select who, o.loop, %1$L, o.key, 'delete', o.facts, null, null, null, null, null
            from (select %5$s as loop, %4$s as facts, %6$s as key from (select old.*) r) o,
                 (select %6$s as key from (select new.*) r) n where o.key <> n.key
            union all
            select who, r.loop, %1$L, r.key, case when o.key = r.key then 'update' else 'insert' end,
                case when o.key = r.key then o.facts end, case when o.key = r.key then %2$s else r.facts end, r.reason,
                %3$s, sha256(r.salt || r.bytes)
            from (select %4$s as facts, %6$s as key from (select old.*) r) o,
                 (select %5$s as loop, %6$s as key, %4$s as facts, %7$s as bytes, %8$s, %9$s from (select new.*) r) r;
            return null;
        end $f$ $$, of_table, case when bulk then 'o.facts' else 'r.facts' end, digests, facts, of_loop, key, bytes,
            why, salted);
        execute format('create trigger record_edited after update of %s on %I for each row when (%s)
            execute function %I()',
            (select string_agg(format('%I', c), ', ') from unnest(watched) c), of_table,
            (select string_agg(format('old.%1$I is distinct from new.%1$I', c), ' or ') from unnest(watched) c),
            'record_' || of_table || '_edited');
    end if;
    -- A trigger needs no right to run its function. With the right, anybody could write entries through another table.
    foreach name in array array['inserted', 'updated', 'edited', 'deleted'] loop
        if to_regproc(format('%I', 'record_' || of_table || '_' || name)) is not null then
            execute format('revoke execute on function %I() from public', 'record_' || of_table || '_' || name);
        end if;
    end loop;

    insert into recorded_tables (name, keys, loop, facts, content, key)
    values (of_table, keys, of_loop, facts, bytes, key)
    on conflict on constraint recorded_tables_pkey do update set keys = excluded.keys, loop = excluded.loop,
        facts = excluded.facts, content = excluded.content, key = excluded.key;

    execute format($$
        insert into record_entries (actor, loop, what, key, operation, before, after, reason, salt, said, content)
        select record_actor(), r.loop, %1$L, r.key, case when newest.after is null then 'insert' else 'update' end,
            newest.after, r.facts, r.reason, %2$s, sha256(r.salt || r.bytes)
        from (
            select %3$s as loop, %4$s as key, %5$s as facts, %6$s as bytes, %7$s, 'the record began' as reason
            from %8$I r
        ) r left join (
            select distinct on (key) key, after from record_entries where what = %1$L order by key, id desc
        ) newest using (key)
    $$, of_table, digests, of_loop, key, facts, bytes, salted, of_table);
end $body$;
comment on function record_begins is 'Put a table on record: see docs/house/on-record.md.';

create function record_forget(of_table text, of_keys text[]) returns void language sql as $$
    -- Delete salts and reasons of these rows, so that nobody can test a guess of their content. The chain stays whole.
    -- Call it first, then change or delete the rows.
    update record_entries set salt = null, reason = null where what = of_table and key = any(of_keys);
    insert into record_entries (actor, loop, what, key, operation, before, after)
    select record_actor(), newest.loop, of_table, newest.key, 'forget', newest.after, newest.after
    from (select distinct on (key) * from record_entries where what = of_table and key = any(of_keys)
          order by key, id desc) newest
$$;
comment on function record_forget is 'Delete what could tell the content of these rows, and put that on record.';

create function record_link(before bytea, first bytea, line text) returns bytea language plpgsql immutable as $$
begin
    return sha256(coalesce(before, first) || convert_to(line, 'UTF8'));
end $$;
create aggregate record_chain(bytea, text) (sfunc = record_link, stype = bytea);

create function record_seal(most integer) returns table (chain uuid, head bigint, hash bytea, sealed integer)
language plpgsql security definer set search_path = public, pg_temp as $$
-- Seal at most so many entries. Returns the newest seal; no row while another process seals. Call it in a transaction
-- of its own: READ COMMITTED, because each statement must see what was committed until then.
declare
    here record_sealing%rowtype;
    last bigint;
    last_hash bytea;
    settled bigint;
    next_mark bigint;
    n integer;
begin
    if not pg_try_advisory_xact_lock(hashtext('labelloop.record_seal')) then
        return;
    end if;
    -- The newest id is read before this transaction gets its number. A transaction that has taken an id up to this one
    -- has its number by then, so a lower one. In a transaction that has a number already, nothing follows from that.
    if pg_current_xact_id_if_assigned() is null then
        select last_value into next_mark from record_entries_id_seq where is_called;
    end if;
    select * into here from record_sealing;
    if here.mark_xid > pg_snapshot_xmax(pg_current_snapshot()) then
        here.mark_xid := null;  -- noted in another cluster, before a restore: its transactions are over
    elsif here.mark_xid <= pg_snapshot_xmin(pg_current_snapshot()) then
        settled := here.mark;
    end if;
    select s.seq, s.hash into last, last_hash from record_seals s order by s.seq desc limit 1;
    last := coalesce(last, 0);
    last_hash := coalesce(last_hash, sha256(convert_to(here.chain::text, 'UTF8')));
    insert into record_seals (seq, record_id, hash)
    select last + place, id, record_chain(last_hash, concat_ws(E'\n', last + place, id,
        (extract(epoch from at) * 1000000)::bigint, actor, coalesce(loop, ''), what, key, operation,
        coalesce(before::text, ''), coalesce(after::text, ''), coalesce(encode(said, 'hex'), ''),
        coalesce(encode(content, 'hex'), ''))) over (order by id)
    from (
        select e.*, row_number() over (order by id) as place from record_entries e
        where id > here.horizon and not exists (select from record_seals s where s.record_id = e.id)
        order by id limit most
    ) fresh;
    get diagnostics n = row_count;
    if n < most and (settled is not null or here.mark_xid is null) then
        update record_sealing set horizon = greatest(horizon, settled), mark = coalesce(next_mark, mark),
            mark_xid = case when next_mark is null then mark_xid else pg_current_xact_id() end
        where next_mark is distinct from mark or settled > horizon;
    end if;
    return query select here.chain, last + n, coalesce((select s.hash from record_seals s where s.seq = last + n),
        last_hash), n;
end $$;
comment on function record_seal is 'Append the newest entries to the chain; the sync worker calls it.';
