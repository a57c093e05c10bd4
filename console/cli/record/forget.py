"""The command that removes the data of outputs or of a person: forget."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.decisions import signed_by
from console.cli.output import show, to_stderr
from console.cli.wrappers import as_json_too, not_blank, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.labelstudio.gateway import Gateway
    from labelloop.store.database import Database
    from sync.forget import Wish

STAYS = (
    "what stays: rows without data (id, lane, state, times), so that counts and the hold-out split stay as they are",
    "not reached: model files, backups, logs, files of `labelloop export`, MLflow, receivers of callbacks",
)


@click.command()
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", callback=not_blank, help="Key of an output; may be repeated."
)
@click.option("--group", metavar="GROUP", callback=not_blank, help="A group: all its outputs.")
@click.option("--person", metavar="NAME", callback=not_blank,
              help="A person: e-mail address, reviewer_id or name, in all loops.")  # fmt: skip
@click.option("--why", help="Reason, kept with the proof. Do not name the person in it.")
@click.option("--yes", "confirmed", is_flag=True, help="Remove without a prompt.")
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and stop.")
@click.option("--list", "listing", is_flag=True, help="List the proofs; with a name, those of that name.")
@one_of_the_loops
@signed_by("Name of the person who removes it.")
@as_json_too
@with_settings
def forget(
    settings: Settings,
    keys: tuple[str, ...],
    group: str | None,
    person: str | None,
    why: str | None,
    confirmed: bool,
    dry_run: bool,
    listing: bool,
    loop: str | None,
    by: str,
    as_json: bool,
) -> None:
    """Remove the data of outputs, or a person's name, for good: from Postgres and from Label Studio.

    It first prints what it will remove, what stays, and which versions learned from it. A proof stays: when, by whom,
    why, and a salted hash of the name. A second call finds nothing, or finishes a removal that was interrupted.
    """
    from sync.forget import Wish

    if sum((bool(keys), group is not None, person is not None)) != 1 and not (listing and not keys and not group):
        raise UsageError("give one of: --key KEY (may be repeated), --group GROUP, --person NAME")
    if person is not None and loop is not None:
        raise UsageError("a person is forgotten in all loops: leave --loop out")
    with open_database(settings, as_owner=True) as db:
        if listing:
            return show(_proofs(db, loop, [*keys, *(name for name in (group, person) if name)]), as_json)
        if person is not None:
            return show(_person(db, person, by, why, dry_run, confirmed), as_json)
        wish = Wish(tuple(dict.fromkeys(keys)), group)
        done = _outputs(settings, db, one_loop(db, loop, archived=True), wish, by, why, dry_run, confirmed)
    show(done, as_json)


def _outputs(
    settings: Settings,
    db: Database,
    loop: str,
    wish: Wish,
    by: str,
    why: str | None,
    dry_run: bool,
    confirmed: bool,
) -> dict[str, Any]:
    from labelloop.store.tables import loops
    from sync.forget import forget as remove
    from sync.forget import plan

    with db.transaction() as conn:
        spec = loops.get(conn, loop)
    assert spec is not None
    found = plan(db, loop, wish)
    to_stderr(f"this removes the data of {_n(len(found.outputs), 'output')} of loop {loop!r} for good:")
    for table, n in found.counts.items():
        to_stderr(f"  {n:>9,}  {table}")
    if found.waiting:
        to_stderr(f"  {found.waiting:>9,}  outbox")
    if found.missing:
        to_stderr(f"no output has: {', '.join(map(repr, found.missing))}")
    for line in STAYS:
        to_stderr(line)
    versions = [(one.version, one.stage, one.learned) for one in found.learned]
    _tell_versions(settings, loop, versions)
    report = {"outputs": len(found.outputs), "versions": [version for version, _, _ in versions]}
    if not _go_on(dry_run, confirmed):
        return {"forgotten": False, **report}
    with ExitStack() as stack:

        def gateway() -> Gateway:
            from labelloop.labelstudio.gateway import Gateway

            settings.require("label_studio_url", "label_studio_token")
            return stack.enter_context(closing(Gateway(settings.label_studio_url, settings.label_studio_token)))

        done = remove(db, gateway, spec, wish, by, why, to_stderr)
    return {"forgotten": True, "outputs": done.outputs, "tasks_deleted": done.tasks, "versions": list(done.versions)}


def _person(db: Database, person: str, by: str, why: str | None, dry_run: bool, confirmed: bool) -> dict[str, Any]:
    from labelloop.store.privacy import people, proofs
    from labelloop.store.tables import loops

    with db.transaction() as conn:
        found = people.find(conn, person)
        logins = sorted({row.email.lower() for row in found if row.email})
        if len(logins) > 1:
            raise UsageError(f"{person!r} is the name of several people: give one of {', '.join(logins)}")
        names = sorted({person, *(name for row in found for name in (row.email, row.name) if name)})
        if by in names:
            raise UsageError(f"the proof would keep the name {by!r}, which it is about: sign with another, --by NAME")
        counts = people.counts(conn, found, names)
        if not counts:
            raise UsageError(f"nobody is called {person!r}: `labelloop people` lists annotators; or it was forgotten")
        versions = people.learned_from(conn, found)
        answered = people.answers(conn, found)
    to_stderr(f"this replaces the name{f' of {logins[0]}' if logins else ''} by a pseudonym for good, in:")
    for table, n in counts.items():
        to_stderr(f"  {n:>9,}  {table}")
    to_stderr(f"what stays: the answers to {_n(answered, 'output')}, under the pseudonym, and decisions. Tokens with")
    to_stderr("this name are revoked. Label Studio still has the account: delete it there afterwards, as organisation")
    to_stderr("administrator. Until then Label Studio's number of the account is in our tables, and names it there.")
    _tell_versions(None, None, versions)
    ids = [version for version, _, _ in versions]
    report = {"answers": answered, "versions": ids}
    if not _go_on(dry_run, confirmed):
        return {"forgotten": False, **report}
    with db.transaction() as conn:
        found = people.find(conn, person)
        conn.execute("set local statement_timeout = 0")
        pseudonym = people.rename(conn, found, names, loops.names(conn, archived=True))
        proofs.write(conn, "person", None, person, by, why, counts, ids)
    return {"forgotten": True, "pseudonym": pseudonym, **report}


def _proofs(db: Database, loop: str | None, names: list[str]) -> list[dict[str, Any]]:
    from labelloop.store.privacy import proofs

    with db.transaction() as conn:
        found = proofs.list_(conn, loop)
    return [
        {
            "at": proof.at,
            "by": proof.by,
            "kind": proof.kind,
            "loop": proof.loop or "all",
            "why": proof.why or "",
            "outputs": proof.counts.get("outputs", 0),
            "state": "done" if proof.is_finished else "begun, not finished: run it again",
            "versions": [version[:12] for version in proof.versions],
        }
        for proof in found
        if not names or any(map(proof.is_of, names))
    ]


def _tell_versions(settings: Settings | None, loop: str | None, versions: list[tuple[str, str, int]]) -> None:
    if not versions:
        return to_stderr("no version learned from it")
    to_stderr("versions that learned from it; their files still hold what they learned:")
    folder = settings.models_dir if settings is not None else None
    for version, stage, n in versions:
        file = f"  {file}" if folder is not None and (file := Path(folder) / f"{version}.skops").exists() else ""
        to_stderr(f"  {version[:12]}  {stage:<10} {_n(n, 'answer')}{file}")
    if loop is not None:
        to_stderr(f"to replace them: `labelloop retrain --loop {loop}`, then delete the files of the versions that do")
        to_stderr("not serve any more. A version without its file cannot become champion again")


def _go_on(dry_run: bool, confirmed: bool) -> bool:
    if dry_run:
        to_stderr("nothing was removed: --dry-run")
        return False
    if not confirmed:
        if not sys.stdin.isatty():
            raise UsageError("nothing was removed: confirm with --yes")
        if not click.confirm("Remove it", err=True):
            raise UsageError("nothing was removed")
    return True


def _n(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


COMMANDS = (forget,)
