"""The commands that decide whether a person's answers count: people distrust, people trust."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from console.cli.decisions import signed_by
from console.cli.output import plain, print_json, to_stderr
from console.cli.wrappers import as_json_too, not_blank, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings
from labelloop.reading.moments import moment
from labelloop.reading.texts import counted

if TYPE_CHECKING:
    from labelloop.spec.loop import LoopSpec
    from labelloop.store.database import Database
    from labelloop.store.people.plan import Plan

TIME = "%Y-%m-%d %H:%M"


@click.command(short_help="Let a person's answers count no more, from a time on.")
@click.argument("person", callback=not_blank)
@click.option("--since", required=True, metavar="WHEN",
              help="Begin of that time: a day such as 2026-01-31, a time, or 12h, 30d, 8w.")  # fmt: skip
@click.option("--until", metavar="WHEN", help="Answers written from then on count again  [no such time]")
@click.option("--why", default="no reason given", show_default=True, help="Reason, stored with the decision.")
@click.option("--dry-run", is_flag=True, help="Only say what would follow.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--roll-back", is_flag=True, help="Also return to the newest champion that did not learn from them.")
@signed_by("Name of the person who decides.", always=False)
@one_of_the_loops
@as_json_too
@with_settings
def distrust(
    settings: Settings,
    person: str,
    since: str,
    until: str | None,
    why: str,
    dry_run: bool,
    yes: bool,
    roll_back: bool,
    by: str | None,
    loop: str | None,
    as_json: bool,
) -> None:
    """Take the answers of PERSON out of training, hold-out set and reports.

    PERSON is a name, an address, `user 7` or an id, as `labelloop people` shows it. Answers that come later do not
    count either, unless --until is given. Outputs that are left without an answer are asked again. Nothing is deleted:
    `labelloop people trust` undoes it.
    """
    from backend.decide.promote import rollback
    from console.cli.decisions import is_agreed, me
    from labelloop.store.people import decisions, who
    from labelloop.store.people.plan import decided, plan
    from labelloop.store.tables import projects
    from labelloop.versions.version import short

    now = datetime.now(UTC)
    begin, end = moment("--since", since, now), None if until is None else moment("--until", until, now)
    if begin > now:
        raise UsageError(f"--since must not be in the future: it is {begin:{TIME}} UTC, and now it is {now:{TIME}} UTC")
    if end is not None and end <= begin:
        raise UsageError(f"--until ({end:{TIME}} UTC) must be later than --since ({begin:{TIME}} UTC)")
    name = by if dry_run else by or me()
    with open_database(settings) as db:
        of = one_loop(db, loop)
        with db.transaction() as conn:
            somebody = who.named(conn, of, person)
            found = plan(conn, of, somebody, begin, end)
        if not is_agreed(_words(found), plain(found), as_json=as_json, dry_run=dry_run, yes=yes):
            return None
        with db.transaction() as conn:
            projects.lock_hop(conn, of, "decisions")
            if decided(conn, of, somebody, begin, end) is None:
                decisions.distrust(conn, of, somebody.ids[0], begin, end, str(name), why)
        changed = _settle(db, of, f"answers of a person do not count any more: {why}")
        if roll_back and found.back_to is not None:
            done = rollback(db, of, str(name), why, found.back_to, models_dir=settings.models_dir)
            to_stderr(f"Champion {done.version} serves again instead of {done.previous}. {done.what_next}".strip())
    if as_json:
        return print_json({**plain(found), "changed_answers": changed})
    click.echo(f"Done: {counted(changed, 'answer')} changed. Undo it: labelloop people trust {person!r} --loop {of}")
    if found.back_to is not None and not roll_back:
        click.echo(f"Champion {short(found.champion)} learned from them. To return: {_back(found)}")


@click.command(short_help="Let a person's answers count again.")
@click.argument("person", callback=not_blank)
@click.option("--why", default="no reason given", show_default=True, help="Reason, stored with the decision.")
@signed_by("Name of the person who decides.")
@one_of_the_loops
@as_json_too
@with_settings
def trust(settings: Settings, person: str, why: str, by: str, loop: str | None, as_json: bool) -> None:
    """Undo `labelloop people distrust`: all answers of PERSON count again."""
    from labelloop.store.people import decisions, who

    with open_database(settings) as db:
        of = one_loop(db, loop)
        with db.transaction() as conn:
            somebody = who.named(conn, of, person)
            ended = [row.id for row in decisions.list_(conn, of, somebody.ids) if row.ended_at is None]
            for decision in ended:
                decisions.end(conn, decision, by, why)
        changed = _settle(db, of, f"answers of a person count again: {why}" if ended else None)
    if as_json:
        return print_json({"loop": of, "person": somebody.name, "ended": ended, "changed_answers": changed})
    if not ended:
        click.echo(f"All answers of {somebody.name} count already.")
    else:
        click.echo(f"The answers of {somebody.name} count again: {counted(changed, 'answer')} changed.")


def _settle(db: Database, loop: str, why: str | None) -> int:
    """Let all follow from the decisions: answers, the certificate, and a training run with this reason, if any."""
    from backend.train.certify import certify
    from labelloop.store.tables import loops
    from sync.pull.distrust import CHANGED, settle_decisions

    with db.transaction() as conn:
        spec: LoopSpec | None = loops.get(conn, loop)
    assert spec is not None
    done = settle_decisions(db, spec, why or CHANGED)
    if spec.accept is not None:
        with db.transaction() as conn:
            certify(conn, spec, drift=False)
    return done.answers


def _words(found: Plan) -> Sequence[str]:
    """Return the plan in sentences, with the command of the roll-back."""
    from backend.report.estimates.distrusting import plan_words

    lines = plan_words(found)
    if found.champion is not None:
        lines.append(f"The champion is one of these versions. To return to one that is not: {_back(found)}")
    return lines


def _back(found: Plan) -> str:
    """Return the command that returns to a champion that did not learn from the person."""
    from labelloop.versions.version import PIPELINE

    to = found.back_to if found.back_to in (None, PIPELINE) else str(found.back_to)[:12]
    return f'labelloop rollback --to {to} --why "answers that do not count" --loop {found.loop}'
