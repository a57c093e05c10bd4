-- The function of migration 0032 once more: with a backlog, it reads no entry again that it has sealed.
create or replace function record_seal(most integer) returns table (chain uuid, head bigint, hash bytea, sealed integer)
language plpgsql security definer set search_path = public, pg_temp as $$
-- Seal at most so many entries. Returns the newest seal; no row while another process seals. Call it in a transaction
-- of its own: READ COMMITTED, because each statement must see what was committed until then.
declare
    here record_sealing%rowtype;
    last bigint;
    last_hash bytea;
    settled bigint;
    reached bigint;
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
        where id > here.horizon
        and not exists (select from record_seals s where s.record_id = e.id and s.record_id > here.horizon)
        order by id limit most
    ) fresh;
    get diagnostics n = row_count;
    reached := settled;
    if n = most and settled is not null then  -- a backlog: all up to the last one are sealed, and not all up to the mark
        reached := least(settled, (select s.record_id from record_seals s where s.seq = last + n));
    end if;
    if settled is not null or here.mark_xid is null then
        if reached < settled then
            next_mark := null;  -- the mark stays until the horizon has come to it
        end if;
        update record_sealing set horizon = greatest(horizon, reached), mark = coalesce(next_mark, mark),
            mark_xid = case when next_mark is null then mark_xid else pg_current_xact_id() end
        where next_mark is distinct from mark or reached > horizon;
    end if;
    return query select here.chain, last + n, coalesce((select s.hash from record_seals s where s.seq = last + n),
        last_hash), n;
end $$;
