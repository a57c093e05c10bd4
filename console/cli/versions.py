"""The commands about model versions: versions, compare, card. Each prints the figures of the review pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.decisions import me
from console.cli.output import accuracy_words, gain_words, print_json, show, to_stderr
from console.cli.runs import run_line
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.store.database import Conn


@click.command()
@click.argument("version", required=False)
@click.option("--name", help="Name VERSION; an empty text removes the name.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    help="Tag of VERSION, repeatable; replaces all its tags. An empty text removes them.",
)
@click.option("--note", help="Note about VERSION; an empty text removes the note.")
@click.option("--by", help="With --name, --tag or --note: name of the author.")
@one_of_the_loops
@as_json_too
@with_settings
def versions(
    settings: Settings,
    version: str | None,
    name: str | None,
    tags: tuple[str, ...],
    note: str | None,
    by: str | None,
    loop: str | None,
    as_json: bool,
) -> None:
    """List the model versions of a loop, newest first. With VERSION: show its details.

    VERSION is the version's id, or the first characters of it. The version itself never changes; its name, tags and
    note can be changed, and earlier ones stay on record.
    """
    from backend.report.loops import loop_report
    from backend.report.versions import version_report
    from labelloop.labeling.former import known_before
    from labelloop.store.pipelines import label_changes
    from labelloop.store.questions import lineage
    from labelloop.store.tables import versions as store

    described = name is not None or note is not None or bool(tags)
    if described and version is None:
        raise UsageError("--name, --tag and --note need a version, as in `labelloop versions 3f9a --name ..`")
    with open_database(settings) as db:
        if version is not None:
            if described:
                with db.transaction() as conn:
                    _describe(conn, version, name, tags, note, by or me())
            with db.transaction() as conn:
                report = version_report(conn, version)
            return print_json(report) if as_json else _version(report)
        wanted = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            stale = lineage.stale_by_version(conn, wanted)
            decided = {row.id: row for row in store.list_(conn, wanted)}
            former = label_changes.former(conn, wanted)
            rows = [
                {
                    **line,
                    "stale": stale.get(line["version"], 0),
                    "before": known_before(decided[line["version"]].classes, former),
                    **{key: getattr(decided[line["version"]], key) for key in ("by", "why", "decided_at")},
                }
                for line in loop_report(conn, wanted)["versions"]
            ]
    if as_json:
        return print_json(rows)
    show([_line(row) for row in rows], as_json=False)
    for row in rows:
        _say_before(row)


@click.command()
@click.argument("a")
@click.argument("b")
@as_json_too
@with_settings
def compare(settings: Settings, a: str, b: str, as_json: bool) -> None:
    """Compare versions A and B on the held-out answers on which both were evaluated.

    `pipeline` stands for the pipeline's own outputs.
    """
    from backend.report.versions import comparison

    with open_database(settings) as db, db.transaction() as conn:
        report = comparison(conn, a, b)
    if as_json:
        return print_json(report)
    click.echo(report["said"])
    show(
        {
            "loop": report["loop"],
            report["a"]["name"]: accuracy_words(report["accuracy_a"]),
            report["b"]["name"]: accuracy_words(report["accuracy_b"]),
            "held-out answers": report["holdout"],
            "predictions differ on": report["differ"],
            f"only {report['b']['name']} is correct": report["better"],
            f"only {report['a']['name']} is correct": report["worse"],
        },
        as_json=False,
    )


@click.command()
@click.argument("version")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the card to this file, as one HTML page.",
)
@as_json_too
@with_settings
def card(settings: Settings, version: str, html: Path | None, as_json: bool) -> None:
    """Show the model card of VERSION: training data, parameters, accuracy and limits."""
    from backend.report.card import card as make
    from backend.report.card import card_html

    with open_database(settings) as db:
        made = make(db, version, settings.models_dir)
    if html is not None:
        try:
            html.write_text(card_html(made), encoding="utf-8")
        except OSError as exc:
            raise UsageError(f"{html} cannot be written: {exc.strerror}") from exc
        to_stderr(f"wrote {html}")
    if as_json:
        return print_json(made)
    if html is None:
        show(_card(made["model"]) | {"accuracy": accuracy_words(made["metrics"]["accuracy"])}, as_json=False)
        for sentence in made["limits"]:
            click.echo(f"- {sentence}")


def _describe(conn: Conn, version: str, name: str | None, tags: tuple[str, ...], note: str | None, by: str) -> None:
    """Store the name, tags and note that were given; the others keep their values."""
    from backend.report.versions import full_version_id
    from labelloop.store.tables import descriptions
    from labelloop.versions.descriptions import Description

    of = full_version_id(conn, version)
    changes = descriptions.history(conn, of)
    now = changes[0].description if changes else Description()
    made = Description.of(
        now.name if name is None else name,
        tags or now.tags,
        now.note if note is None else note,
    )
    descriptions.write(conn, of, made, by)


# -- words -------------------------------------------------------------------------------------------------------------


def _card(model: Mapping[str, Any]) -> dict[str, Any]:
    decided, file = model["decided"], model["file"]
    state = file["trouble"] or ("unchanged" if file["checked"] else "not checked")
    return {
        **{key: model[key] for key in ("loop", "version", "stage", "learner")},
        "parameters": model["params"],
        "classes": model["classes"],
        "file": f"{model['size_bytes']:,} bytes, {state}",
        "created": model["created_at"],
        "decided": f"by {decided['by']} at {decided['at']}: {decided['why']}" if decided["by"] else None,
    }


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    scores = row["scores"] or {}
    return {
        "version": row["name"],
        "name": row["called"],
        "stage": row["stage"],
        "answers": row["trained_on"],
        "stale": row["stale"],
        "accuracy": accuracy_words(scores.get("challenger")),
        "gain": gain_words(scores.get("gain")),
        "by": row["by"],
        "why": row["why"] or (row["reasons"] or [None])[0],
    }


def _version(report: Mapping[str, Any]) -> None:
    kept = (
        "version",
        "called",
        "tags",
        "note",
        "loop",
        "stage",
        "learner",
        "classes",
        "size_bytes",
        "trained_on",
        "accepted",
    )
    shown = {key: report[key] for key in (*kept, "created_at")}
    show({**shown, "accuracy": accuracy_words(report["accuracy"])}, as_json=False)
    _say_before(report)
    show([run_line(run) | {"as": run["as"]} for run in report["runs"]], as_json=False)


def _say_before(row: Mapping[str, Any]) -> None:
    if row["before"]:
        click.echo(f"Version {row['name']} was trained before {', and before '.join(row['before'])}.")


COMMANDS = (versions, compare, card)
