"""The commands that change the labels of a loop: schema rename, merge, split, retire, show, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from console.cli.decisions import signed_by
from console.cli.output import plain, print_json, show, to_stderr
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.process.settings import Settings
from labelloop.reading.texts import counted

if TYPE_CHECKING:
    from labelloop.labeling.changing import Wanted
    from labelloop.store.database import Database
    from sync.pull.relabel import Relabelled
    from sync.pull.relabel_plan import Plan


def _changes_labels(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that changes labels."""
    for option in (
        with_settings,
        as_json_too,
        one_of_the_loops,
        signed_by("Name of the person who decides.", always=False),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only say what would follow."),
        click.option("--why", default="no reason given", show_default=True, help="Reason, stored with the change."),
    ):
        command = option(command)
    return command


_of_control = click.option("--control", help="Control of the form that has the labels  [the one with the answer]")


@click.group()
def schema() -> None:
    """Rename, merge, split or retire labels while people are at work, and undo it.

    The form, the open tasks, training and reports follow. What people and pipelines gave stays stored as they gave it,
    and is read by the labels of today.
    """


@schema.command(short_help="Give a label another name.")
@click.argument("old")
@click.argument("new")
@_of_control
@_changes_labels
def rename(settings: Settings, old: str, new: str, **how: Any) -> None:
    """Rename the label OLD to NEW. Answers with OLD count as NEW."""
    _change(settings, "rename", [old], [new], **how)


@schema.command(short_help="Make one label of several.")
@click.argument("labels", nargs=-1, required=True)
@click.option("--into", required=True, help="Label that they become: a new one, or one that is there.")
@_of_control
@_changes_labels
def merge(settings: Settings, labels: tuple[str, ...], into: str, **how: Any) -> None:
    """Merge LABELS into one. Answers with any of them count as that one."""
    _change(settings, "merge", labels, [into], **how)


@schema.command(short_help="Replace a label by several, and ask its outputs again.")
@click.argument("label")
@click.option("--into", required=True, multiple=True, help="Label that takes a part of it; give it twice or more.")
@_of_control
@_changes_labels
def split(settings: Settings, label: str, into: tuple[str, ...], **how: Any) -> None:
    """Split LABEL into others. Answers with LABEL do not count any more, and their outputs are asked again."""
    _change(settings, "split", [label], into, **how)


@schema.command(short_help="Take a label out of the form.")
@click.argument("label")
@click.option("--ask-again", is_flag=True, help="Ask people again about outputs that were answered with it.")
@_of_control
@_changes_labels
def retire(settings: Settings, label: str, ask_again: bool, **how: Any) -> None:
    """Retire LABEL. Answers with it do not count any more. Without --ask-again nobody is asked about them again."""
    _change(settings, "retire", [label], [], ask=ask_again, **how)


@schema.command(short_help="Take the newest change back.")
@_changes_labels
def undo(settings: Settings, **how: Any) -> None:
    """Undo the newest change that is in force: files, form, and what counted before."""
    _change(settings, "undo", [], [], control=None, **how)


@schema.command("show", short_help="List the labels of today and their changes.")
@one_of_the_loops
@as_json_too
@with_settings
def show_(settings: Settings, loop: str | None, as_json: bool) -> None:
    """List the labels of today, and every change that there was."""
    from labelloop.store.pipelines import label_changes
    from labelloop.store.tables import loops

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            spec, changes = loops.get(conn, name), label_changes.list_(conn, name)
    assert spec is not None
    gone = {one.undoes for one in changes}
    rows = [
        {
            "change": one.id,
            "kind": str(one.kind),
            "what": one.words,
            "undone": one.id in gone,
            "by": one.by,
            "why": one.why,
            "at": one.at,
        }
        for one in changes
    ]
    if as_json:
        return print_json({"loop": name, "labels": list(spec.labels), "changes": rows})
    click.echo(f"Labels of {name}: {', '.join(spec.labels) or 'none: people write the answer'}")
    if rows:
        show(rows, as_json=False)


def _change(
    settings: Settings,
    kind: str,
    labels: Sequence[str],
    becomes: Sequence[str],
    *,
    control: str | None,
    why: str,
    dry_run: bool,
    yes: bool,
    by: str | None,
    loop: str | None,
    as_json: bool,
    ask: bool = False,
) -> None:
    from console.cli.decisions import is_agreed, me
    from console.files.relabelled import carry_out, read
    from labelloop.labeling.changing import Wanted
    from labelloop.labeling.former import ChangeKind
    from sync.pull.relabel_plan import plan, plan_of_undo

    name = by if dry_run else by or me()
    with open_database(settings) as db:
        of = one_loop(db, loop)
        folder = settings.loops_dir / of
        texts = read(folder)
        wanted = Wanted(ChangeKind(kind), tuple(labels), tuple(becomes), ask)
        with db.transaction() as conn:
            conn.execute("set local statement_timeout = 0")
            found = plan_of_undo(conn, of, texts) if kind == "undo" else plan(conn, of, texts, wanted, control)
        if found.done is not None and not found.files:
            to_stderr(found.done)
            return print_json({**_as_json(found), "changed_answers": 0}) if as_json else None
        if not is_agreed(_words(found), _as_json(found), as_json=as_json, dry_run=dry_run, yes=yes):
            return None
        answers = carry_out(db, folder, texts, found, str(name), why).answers + _settle(db, of).answers
    if as_json:
        return print_json({**_as_json(found), "changed_answers": answers})
    click.echo(f"Done: {found.wanted.words}; {counted(answers, 'answer')} changed. {_next(found.wanted, of)}")


def _next(wanted: Wanted, loop: str) -> str:
    undoes = f"Undo it: labelloop schema undo --loop {loop}"
    return "The next push sends the form." if str(wanted.kind) == "undo" else f"The next push sends the form. {undoes}"


def _settle(db: Database, loop: str) -> Relabelled:
    """Read what came with the old label in the meantime by the labels of today, and test a promise anew."""
    from backend.train.certify import certify
    from labelloop.store.tables import loops
    from sync.pull.relabel import retell

    with db.transaction() as conn:
        now = loops.get(conn, loop)
    assert now is not None
    late = retell(db, now)
    if now.accept is not None:
        with db.transaction() as conn:
            certify(conn, now, drift=False)
    return late


def _as_json(found: Plan) -> dict[str, Any]:
    return {
        "loop": found.loop,
        "change": found.wanted.words,
        "kind": str(found.wanted.kind),
        "labels": list(found.spec.labels),
        "files": sorted(found.files),
        **plain(found.counts),
        "versions": list(found.versions),
    }


def _words(found: Plan) -> list[str]:
    """Return the plan in sentences."""
    from labelloop.labeling.former import ChangeKind
    from labelloop.versions.version import short

    n, wanted = found.counts, found.wanted
    if found.done is not None:
        return [found.done, f"The files still have the old label. Files that change: {', '.join(sorted(found.files))}."]
    count = {
        ChangeKind.SPLIT: "would not count any more, and people are asked again",
        ChangeKind.RETIRE: "would not count any more" + (", and people are asked again" if wanted.ask else ""),
        ChangeKind.UNDO: "would count as before the change",
    }.get(wanted.kind, f"would count as {' and '.join(map(repr, wanted.becomes))}")
    also = [f"The files change other keys too: {', '.join(found.also)}."] if found.also else []
    return [
        f"Loop {found.loop}: {wanted.words}. Labels then: {', '.join(found.spec.labels)}.",
        f"{counted(n.answers, 'answer')} {count} ({n.held_out:,} held out).",
        f"{counted(n.open, 'open task')} and {counted(n.waiting, 'waiting output')} show it as a prelabel.",
        f"Files that change: {', '.join(sorted(found.files)) or 'none, they are changed already'}.",
        f"Versions that know it: {', '.join(map(short, found.versions)) or 'none'}.",
        *also,
    ]


COMMANDS = (schema,)
