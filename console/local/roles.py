"""The application's role in the embedded Postgres: the tables belong to another one, which migrates them."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from console.local.places import write_secret

ROLE = "labelloop_app"


def application(owner_url: str, folder: Path) -> str:
    """Return the URL of the same database for the application's role, which is made if it is missing.

    Its password is made once and stays in a file of the folder.
    """
    file = folder / "application-password"
    if not file.exists():
        write_secret(file, secrets.token_hex(24) + "\n")
    password = file.read_text().strip()
    with psycopg.connect(owner_url) as conn:
        there = conn.execute("select from pg_roles where rolname = %s", [ROLE]).fetchone() is not None
        change = sql.SQL("{} role {} login password {}")
        verb = sql.SQL("alter" if there else "create")
        conn.execute(change.format(verb, sql.Identifier(ROLE), sql.Literal(password)))
    at = urlsplit(owner_url)
    return at._replace(netloc=f"{ROLE}:{password}@{at.netloc.rpartition('@')[2]}").geturl()
