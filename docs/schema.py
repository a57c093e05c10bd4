"""Write docs/house/schema.md from the comments in the database: `python -m docs.schema` (reads the usual settings)."""

from __future__ import annotations

import os
from pathlib import Path

from labelloop.process.settings import Settings
from labelloop.store.database import Conn, Database

PAGE = Path(__file__).parent / "house" / "schema.md"
HEAD = """\
# Schema

`python -m docs.schema` writes this page from the comments in the database: change them there, in a migration.
The words are those of the [glossary](glossary.md). The tables of the job queue (`procrastinate_*`) and
`labelloop_migrations` are not listed.

To read the feedback of all people:

```python
pandas.read_sql("select * from feedback join outputs on outputs.id = model_output_id", connection)
```
"""

_TABLES = """
    select c.oid, c.relname as name, c.relkind = 'v' as is_view, obj_description(c.oid) as meaning
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
      and c.relname not like 'procrastinate%%' and c.relname <> 'labelloop_migrations'
    order by c.oid
"""
_COLUMNS = """
    select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as needed,
           col_description(a.attrelid, a.attnum) as meaning
    from pg_attribute a
    where a.attrelid = %(table)s and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""
_RULES = """
    select conname as name, pg_get_constraintdef(oid) as rule
    from pg_constraint where conrelid = %(table)s and contype in ('p', 'u', 'c', 'f')
    union all
    select i.relname, substring(pg_get_indexdef(i.oid) from 'USING btree (.*)$')
    from pg_index x join pg_class i on i.oid = x.indexrelid
    where x.indrelid = %(table)s and x.indisunique and x.indpred is not null
    order by 1
"""
_ENUMS = """
    select t.typname as name, array_agg(e.enumlabel::text order by e.enumsortorder) as labels
    from pg_type t join pg_enum e on e.enumtypid = t.oid
    where t.typnamespace = 'public'::regnamespace and t.typname not like 'procrastinate%%'
    group by t.typname order by t.typname
"""


def page(conn: Conn) -> str:
    """Return the whole page for the database of `conn`."""
    parts = [HEAD]
    for table in conn.execute(_TABLES).fetchall():
        parts.append(f"\n## {table['name']}\n\n{'A view. ' if table['is_view'] else ''}{table['meaning'] or ''}\n")
        parts.append("\n| column | type | |\n|---|---|---|\n")
        for column in conn.execute(_COLUMNS, {"table": table["oid"]}):
            kind = column["type"] + ("" if column["needed"] or table["is_view"] else ", or null")
            parts.append(f"| `{column['name']}` | {kind} | {_cell(column['meaning'])} |\n")
        rules = conn.execute(_RULES, {"table": table["oid"]}).fetchall()
        if rules:
            parts.append("\n")
        parts += [f"- `{rule['name']}`: {_cell(rule['rule'])}\n" for rule in rules]
    parts.append("\n## Words\n\n")
    parts += [f"- `{enum['name']}`: {', '.join(enum['labels'])}\n" for enum in conn.execute(_ENUMS)]
    return "".join(parts)


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def main() -> None:
    settings = Settings.from_env(os.environ)
    settings.require("database_url")
    with Database(settings.database_url, size=1) as database, database.transaction() as conn:
        PAGE.write_text(page(conn))


if __name__ == "__main__":
    main()
