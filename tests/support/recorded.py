"""A record with some history: a judged loop, outputs that people answer in both ways, a task, tokens and an archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from labelloop.process import heads
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.promises import trials
from labelloop.store.record import sealing, verify
from labelloop.store.record.findings import Finding
from labelloop.store.tables import access, loops
from sync.record.seal import Sealer
from tests.support.hops.answering_desk import Desk


def make_history(database: Database) -> list[UUID]:
    """Let a loop `pets` be used: people answer, change and take back answers; a token is made and revoked."""
    desk = Desk(database)
    ids = desk.submit("one", "two", "three", "four")
    desk.give("one", "anna@x.org")
    desk.give("two", "anna@x.org", approval=False, correction="dog")
    desk.give("two", "anna@x.org", approval=True)
    desk.open_task(ids[2], 9031)
    with database.transaction() as conn:
        access.add(conn, "a pipeline", ["submit"])
        access.revoke(conn, "a pipeline")
        trials.begin(conn, "pets", trials.Labeller("pipeline", "1"), bytes(32), 1, {"*": [0.9, 0.8]}, None)
        loops.archive(conn, "pets", "ben")
        loops.restore(conn, "pets")
    return ids


@dataclass
class Recorded:
    """A database with a record, and a file of heads."""

    database: Database
    path: Path

    def seal(self) -> int:
        return Sealer(Settings(record_heads=self.path), self.database).seal()

    def make_token(self, name: str) -> None:
        """Change something that is on record."""
        with self.database.transaction() as conn:
            access.add(conn, name, ["submit"])

    def findings(self, loop: str | None = None) -> list[Finding]:
        with self.database.transaction() as conn:
            chain = sealing.newest(conn).chain
        upto = heads.size(self.path)
        return verify.verify(self.database, heads.in_force(self.path, chain, upto), loop).findings

    def kinds(self) -> set[str]:
        return {str(finding.kind) for finding in self.findings()}

    def one(self, query: str) -> int:
        """Return the number that the query returns."""
        with psycopg.connect(self.database.url, row_factory=dict_row) as conn:
            row = conn.execute(query).fetchone()
        assert row is not None
        return int(next(iter(row.values())))

    def tamper(self, *statements: str) -> None:
        """Run SQL as an administrator would who knows the tables: no trigger sees it."""
        with psycopg.connect(self.database.url) as conn:
            conn.execute("set session_replication_role = replica")
            for statement in statements:
                assert conn.execute(statement).rowcount != 0, f"it changes nothing: {statement}"
