"""docs/house/schema.md says what the database says."""

from __future__ import annotations

from docs.schema import PAGE, page
from labelloop.store.database import Database


def test_the_page_of_the_schema_is_what_the_database_says_now(database: Database) -> None:
    with database.transaction() as conn:
        assert PAGE.read_text() == page(conn), (
            "the schema has changed: run `python -m docs.schema` on a migrated database"
        )


def test_every_table_and_every_column_says_what_it_is_for(database: Database) -> None:
    with database.transaction() as conn:
        silent = conn.execute(
            """
            select c.relname || coalesce('.' || a.attname, '') as name
            from pg_class c left join lateral (
                select 0 as attnum, null as attname
                union all select attnum, attname from pg_attribute
                where attrelid = c.oid and attnum > 0 and not attisdropped
            ) a on true
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
              and c.relname not like 'procrastinate%%' and c.relname <> 'labelloop_migrations'
              and not (c.relkind = 'v' and a.attnum > 0)
              and case when a.attnum = 0 then obj_description(c.oid) else col_description(c.oid, a.attnum) end is null
            order by 1
            """
        ).fetchall()
    assert [row["name"] for row in silent] == []
