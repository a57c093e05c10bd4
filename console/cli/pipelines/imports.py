"""The commands that join what people have: `labelloop import FORMAT FILE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import plain, show, to_stderr
from console.cli.pipelines.flow import a2i
from console.cli.progress import progress
from console.cli.wrappers import Command, as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from console.files.imports_formats import FORMATS
from labelloop.errors import Failed, UsageError
from labelloop.process.settings import Settings
from labelloop.reading.texts import counted

if TYPE_CHECKING:
    from console.files.imports import File
    from labelloop.outputs.formats.items import Bad, Faults, Tally
    from labelloop.spec.loop import LoopSpec
    from sync.answering.importing import Imported, Ready

ITEMS = 200
"""Items of one transaction."""
MOST_LISTED = 1_000
"""Parts that cannot be imported and are kept for the report."""
SHOWN = 20


@click.group("import")
def import_() -> None:
    """Import items, outputs of models and answers of people from a file of another tool.

    What models said becomes outputs, and what people said becomes their answers. Repeating it adds nothing. Nothing is
    stored if a part of the file cannot be imported, unless --skip-bad is given.
    """


def _options(command: Command) -> Command:
    options: list[Callable[[Command], Command]] = [
        click.argument("file", type=click.Path(path_type=Path)),
        click.option("--skip-bad", is_flag=True, help="Import the rest, and report what cannot be imported."),
        click.option("--check", "only_check", is_flag=True, help="Report what would be imported; store nothing."),
        click.option("--key", help="Path of the key in an item, such as id or data.id  [the format's own, or a hash]"),
        click.option("--field", help="Field of the data for the text or picture  [the one that the form shows]"),
        click.option(
            "--map", "maps", multiple=True, metavar="FIELD=COLUMN", help="Column of a field, such as answer=gold."
        ),
        click.option(
            "--control", "controls", multiple=True, metavar="THEIRS=OURS", help="The loop's control for theirs."
        ),
        click.option(
            "--person", default="import", show_default=True, help="Login of the person for answers that name nobody."
        ),
        click.option("--name", "names", multiple=True, metavar="THEIRS=LOGIN", help="Login of a person of the file."),
        click.option("--media", default="", help="Beginning of the address of each picture, before its file's name."),
        click.option(
            "--as-predictions", is_flag=True, help="The answers in the file are a model's, and not of people."
        ),
        click.option("--model-version", default="", help="Version of the model, for predictions that name none."),
        click.option("--source", help="Source of the outputs, by which reports tell them apart."),
        click.option("--encoding", help="Encoding of FILE, such as cp1252  [its byte order mark, else UTF-8]"),
        one_of_the_loops,
        as_json_too,
        with_settings,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _command(name: str, what: str) -> click.Command:
    @_options
    def run(settings: Settings, **given: Any) -> None:
        _import(settings, name, **given)

    return click.command(name, help=f"Import {what}.", short_help=what)(run)


for _name, _what in FORMATS.items():
    import_.add_command(_command(_name, _what))


def _import(
    settings: Settings,
    format_: str,
    *,
    file: Path,
    skip_bad: bool,
    only_check: bool,
    person: str,
    names: tuple[str, ...],
    source: str | None,
    loop: str | None,
    as_json: bool,
    **of_file: Any,
) -> None:
    from labelloop.outputs.formats.items import Faults, Tally
    from labelloop.store.tables import loops
    from sync.answering.import_check import Keys
    from sync.answering.importing import Imported

    logins = _pairs("--name", names, "7=ann@example.org")
    with open_database(settings) as db, progress() as tick:
        name = one_loop(db, loop)
        with db.transaction() as conn:
            spec = loops.get(conn, name)
        assert spec is not None
        chosen = _file(spec, format_, file, **of_file)
        left_out, found, bad, stored = Tally(), Imported(), Faults(MOST_LISTED), True

        def ready(what: str, tally: Tally, bad: Faults) -> Iterator[Ready]:
            return _ready(chosen, spec, tally, bad, lambda done: tick(what, done, chosen.size), person, logins, source)

        if only_check or not skip_bad:  # all of the file is checked before anything is stored
            keys = Keys(spec)
            for batch in _batches(ready("checking", left_out, bad)):
                with db.transaction() as conn:
                    fitting, faults = keys.split(conn, batch)
                bad.add(*faults)
                found.answers += sum(len(one.answers) for one in fitting)
            stored = not only_check and not bad.n
            found.answers = found.answers if only_check else 0  # nothing is stored yet
        if stored:
            found, left_out, bad = Imported(), Tally(), Faults(MOST_LISTED)
            for batch in _batches(ready("importing", left_out, bad)):
                of_batch = _store(db, spec, batch, skip_bad=skip_bad)
                bad.add(*of_batch.bad)
                of_batch.bad.clear()
                found += of_batch
    _report(found, bad, left_out, stored=stored, only_check=only_check, skip_bad=skip_bad, as_json=as_json)


def _file(
    spec: LoopSpec,
    format_: str,
    path: Path,
    *,
    key: str | None,
    field: str | None,
    maps: tuple[str, ...],
    controls: tuple[str, ...],
    media: str,
    as_predictions: bool,
    model_version: str,
    encoding: str | None,
) -> File:
    from console.files.imports import File
    from labelloop.outputs.formats.items import How
    from labelloop.outputs.formats.rows import read_map

    if maps and format_ not in ("csv", "jsonl", "parquet", "hf"):
        raise UsageError(f"--map is for tables and JSON lines; {format_} has fields of its own")
    given = _pairs("--control", controls, "sentiment=label")
    known = {control.name for control in spec.config.controls}
    for theirs, ours in given.items():
        if ours not in known:
            raise UsageError(
                f"--control {theirs}={ours}: the form has no control {ours!r}; there are: {', '.join(known)}"
            )
    stem = Path(path.name.removesuffix(".gz")).stem or "item"
    how = How(spec.config, stem, key, field, media, given, as_predictions, model_version)
    return File(format_, path, how, read_map(maps), encoding)


def _ready(
    file: File,
    spec: LoopSpec,
    tally: Tally,
    bad: Faults,
    done: Callable[[int], object],
    person: str,
    logins: dict[str, str],
    source: str | None,
) -> Iterator[Ready]:
    """Yield the items that fit the loop; `bad` gets what does not."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from labelloop.outputs.formats.items import Bad
    from sync.answering.importing import prepare

    now, sends = datetime.now(UTC), spec.sends
    for one in file.items(tally, done):
        if isinstance(one, Bad):
            bad.add(one)
            continue
        answers = [replace(given, person=_login(given.person, logins)) for given in one.answers]
        ready, faults = prepare(spec, replace(one, answers=answers), now, person, source, sends)
        bad.add(*faults)
        if ready is not None:
            yield ready


def _login(person: str | None, logins: dict[str, str]) -> str | None:
    """Return the login of a person: as --name gives it, also for the number in `user 7`."""
    if person is None:
        return None
    return logins.get(person) or logins.get(person.removeprefix("user ")) or person


def _batches(ready: Iterator[Ready]) -> Iterator[list[Ready]]:
    batch: list[Ready] = []
    for one in ready:
        batch.append(one)
        if len(batch) == ITEMS:
            yield batch
            batch = []
    if batch:
        yield batch


def _store(db: Any, spec: LoopSpec, batch: list[Ready], *, skip_bad: bool) -> Imported:
    from sync.answering.importing import store

    with db.transaction() as conn:
        found = store(conn, spec, batch)
        if found.bad and not skip_bad:
            raise Failed(
                f"{words(found.bad[0])}. It was stored by somebody else after the check. {counted(len(batch), 'item')} "
                f"from line {batch[0].line} on, and all after them, are not stored; those before are. Import the file "
                "again"
            )
        return found


def words(bad: Bad) -> str:
    """Return a part that cannot be imported as one line for people."""
    key = "" if bad.key is None else f" (item {bad.key!r})"
    return f"line {bad.line}{key}: {f'{bad.path}: ' if bad.path else ''}{bad.message}"


def _report(
    found: Imported, bad: Faults, left_out: Tally, *, stored: bool, only_check: bool, skip_bad: bool, as_json: bool
) -> None:
    counts = {
        "outputs": found.outputs, "known": found.known, "answers": found.answers, "answers_known": found.answers_known,
        "predictions_left": found.predictions_left, "refused": bad.n,
    }  # fmt: skip
    held = {why: n for why, n in left_out.items() if n}
    if as_json:
        show({**counts, "left_out": held, "problems": [plain(one) for one in bad.first]}, as_json=True)
    else:
        show({"answers": found.answers, "refused": bad.n} if only_check else counts, as_json=False)
        for why, n in sorted(held.items()):
            to_stderr(f"not kept: {n:,} x {why}")
        if found.predictions_left:
            to_stderr("predictions_left: predictions that differ from the stored output of their key, which stays")
    if bad.n:
        if not as_json:
            to_stderr("\n".join(map(words, bad.first[:SHOWN])))
            if (more := bad.n - SHOWN) > 0:
                to_stderr(f"and {more:,} more; --json lists the first {MOST_LISTED:,}")
        parts = "1 part" if bad.n == 1 else f"{bad.n:,} parts"
        hint = "" if stored or only_check else "; nothing is stored: correct it, or pass --skip-bad to import the rest"
        raise Failed(f"{parts} of the file cannot be imported{hint}")


def _pairs(option: str, words_: tuple[str, ...], example: str) -> dict[str, str]:
    found = {}
    for word in words_:
        theirs, equals, ours = word.partition("=")
        if not equals or not theirs or not ours:
            raise UsageError(f"{option} takes THEIRS=OURS, such as {example}; it is {word!r}")
        found[theirs] = ours
    return found


import_.add_command(a2i)

COMMANDS = (import_,)
