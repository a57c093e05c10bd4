"""Secrets: none of ours is in a text that Postgres keeps, or in a log file (I20). No message shows one."""

from __future__ import annotations

from pathlib import Path

from psycopg import sql

from console.doctor.deep.places import Places
from console.doctor.deep.postgres import Conn
from console.doctor.deep.seen import Seen

SHORTEST = 8
"""Characters of the shortest secret that is looked for; a shorter one is in any text by chance."""
WRITTEN = (
    "reason", "reasons", "state_reason", "error", "last_error", "log", "why", "problem",
    "closed_because", "ended_because", "revoked_because", "paused_because",
)  # fmt: skip
"""Names of the columns that hold texts of ours; what pipelines and people wrote is theirs."""
PIECE = 1 << 20
"""Bytes of a log file that are in memory at the same time."""


def look(seen: Seen, conn: Conn, places: Places) -> None:
    secrets = {name: value for name, value in places.secrets.items() if len(value) >= SHORTEST}
    columns = conn.execute(
        """
        select table_name, column_name from information_schema.columns join information_schema.tables using (table_name)
        where columns.table_schema = current_schema() and tables.table_schema = current_schema()
        and table_type = 'BASE TABLE' and column_name = any(%(names)s) and data_type in ('text', 'ARRAY', 'jsonb')
        order by 1, 2
        """,
        {"names": list(WRITTEN)},
    ).fetchall()
    for row in columns:
        table, column = row["table_name"], row["column_name"]
        query = sql.SQL("select count(*) as n from {} where strpos({}::text, %(secret)s) > 0")
        for name, value in secrets.items():
            found = conn.execute(
                query.format(sql.Identifier(table), sql.Identifier(column)), {"secret": value}
            ).fetchone()
            if found and found["n"]:
                seen.wrong("I20", f"{table}.{column}", f"{found['n']} rows hold {name}")
    for folder in places.logs:
        for file in sorted(folder.glob("*.log*")) if folder.is_dir() else []:
            for name in _in_file(file, secrets):
                seen.wrong("I20", file, f"it holds {name}")


def _in_file(file: Path, secrets: dict[str, str]) -> list[str]:
    """Return the names of the secrets that this file holds."""
    wanted, found = {name: value.encode() for name, value in secrets.items()}, set[str]()
    longest, end = max(map(len, wanted.values()), default=1), b""
    try:
        with file.open("rb") as content:
            while piece := content.read(PIECE):
                part = end + piece
                found |= {name for name, value in wanted.items() if value in part}
                end = part[-longest:]
    except OSError:
        return []
    return sorted(found)
