"""The commands about models: versions, runs, compare, card, lineage. Each prints what the review pages show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli import hops
from console.cli.door import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from console.cli.shown import plain, print_json, show, to_stderr
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.store.database import Conn


@click.command()
@click.argument("version", required=False)
@click.option("--name", help="Call VERSION so; an empty text takes its name away.")
@click.option("--tag", "tags", multiple=True, help="Tag VERSION; all its tags, each with its own --tag. Empty: none.")
@click.option("--note", help="Note this about VERSION; an empty text takes its note away.")
@click.option("--by", help="With --name, --tag or --note: who writes it.")
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
    """The model versions of a loop, newest first; or what is known of VERSION (the first characters will do).

    Name, tags and note are kept beside a version, which itself never changes; what they were before stays on record.
    """
    from backend.report.loops import loop_report
    from backend.report.versions import version_report
    from labelloop.store.questions import lineage
    from labelloop.store.tables import versions as store

    described = name is not None or note is not None or bool(tags)
    if described and version is None:
        raise UsageError(
            "--name, --tag and --note are of one version: name it, as in `labelloop versions 3f9a --name ..`"
        )
    with open_database(settings) as db:
        if version is not None:
            if described:
                with db.transaction() as conn:
                    _describe(conn, version, name, tags, note, by or hops.me())
            with db.transaction() as conn:
                report = version_report(conn, version)
            return print_json(report) if as_json else _version(report)
        wanted = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            stale = lineage.stale_by_version(conn, wanted)
            decided = {row.id: row for row in store.list_(conn, wanted)}
            rows = [
                {
                    **line,
                    "stale": stale.get(line["version"], 0),
                    **{key: getattr(decided[line["version"]], key) for key in ("by", "why", "decided_at")},
                }
                for line in loop_report(conn, wanted)["versions"]
            ]
    if as_json:
        return print_json(rows)
    show([_line(row) for row in rows], as_json=False)


@click.command()
@click.argument("run", required=False)
@one_of_the_loops
@as_json_too
@with_settings
def runs(settings: Settings, run: str | None, loop: str | None, as_json: bool) -> None:
    """The last runs of a loop, newest first; or RUN (the first characters will do): its verdict and all behind it."""
    from backend.report.loops import loop_report
    from backend.report.runs import run_report

    with open_database(settings) as db:
        if run is not None:
            with db.transaction() as conn:
                report = run_report(conn, run)
            return print_json(report) if as_json else _run(report)
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            rows = loop_report(conn, name)["runs"]
    if as_json:
        return print_json(rows)
    show([_run_line(row) for row in rows], as_json=False)


@click.command()
@click.argument("a")
@click.argument("b")
@as_json_too
@with_settings
def compare(settings: Settings, a: str, b: str, as_json: bool) -> None:
    """Versions A and B on the held-out answers that judged both; `pipeline` names the pipeline's own outputs."""
    from backend.report.versions import comparison

    with open_database(settings) as db, db.transaction() as conn:
        report = comparison(conn, a, b)
    if as_json:
        return print_json(report)
    click.echo(report["said"])
    show(
        {
            "loop": report["loop"],
            report["a"]["name"]: _accuracy(report["accuracy_a"]),
            report["b"]["name"]: _accuracy(report["accuracy_b"]),
            "held-out answers": report["holdout"],
            "they differ on": report["differ"],
            f"only {report['b']['name']} is right": report["better"],
            f"only {report['a']['name']} is right": report["worse"],
        },
        as_json=False,
    )


@click.command()
@click.argument("version", required=False)
@click.option("--output", metavar="KEY", help="Back from an output: which versions learned from its answer.")
@click.option("--reviewer", metavar="EMAIL", help="Back from a person: which versions learned from their answers.")
@click.option("--rows", is_flag=True, help="With VERSION: every answer, not only how many.")
@click.option("--stale", is_flag=True, help="With VERSION: every answer that says something else now, or nothing.")
@one_of_the_loops
@as_json_too
@with_settings
def lineage(
    settings: Settings,
    version: str | None,
    output: str | None,
    reviewer: str | None,
    rows: bool,
    stale: bool,
    loop: str | None,
    as_json: bool,
) -> None:
    """The answers that VERSION learned from, and whose they are; or back, from an output or a person to versions."""
    from labelloop.store.questions import uses

    if sum(x is not None for x in (version, output, reviewer)) != 1:
        raise UsageError("say one of: VERSION, --output KEY, --reviewer EMAIL")
    with open_database(settings) as db:
        if version is not None:
            with db.transaction() as conn:
                report = _learned_from(conn, version, rows=rows or as_json, stale_only=stale)
            return print_json(report) if as_json else _lineage(report)
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            if output is not None:
                if not uses.known_output(conn, name, output):
                    raise UsageError(f"no output of {name} has the key {output!r}")
                return show([plain(row) for row in uses.by_output(conn, name, output)], as_json)
            assert reviewer is not None
            found = uses.by_reviewer(conn, name, reviewer)
            known = uses.known_reviewers(conn)
    if not found and reviewer not in known:
        raise UsageError(f"nobody called {reviewer!r} has answered; there are: {', '.join(known[:10]) or 'none yet'}")
    show([plain(row) for row in found], as_json)


@click.command()
@click.argument("version")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it as one page.")
@as_json_too
@with_settings
def card(settings: Settings, version: str, html: Path | None, as_json: bool) -> None:
    """The model card of VERSION: what it is, learned, is worth and is not good for."""
    from backend.report.card import card as make
    from backend.report.card import card_html

    with open_database(settings) as db:
        made = make(db, version, settings.models_dir)
    if html is not None:
        try:
            html.write_text(card_html(made), encoding="utf-8")
        except OSError as exc:
            raise UsageError(f"{html} cannot be written: {exc.strerror}") from exc
        to_stderr(f"written: {html}")
    if as_json:
        return print_json(made)
    if html is None:
        show(_card(made["model"]) | {"accuracy": _accuracy(made["metrics"]["accuracy"])}, as_json=False)
        for sentence in made["limits"]:
            click.echo(f"- {sentence}")


def _describe(conn: Conn, version: str, name: str | None, tags: tuple[str, ...], note: str | None, by: str) -> None:
    """Write what was given; what was not given stays as it is."""
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


def _learned_from(conn: Conn, version: str, *, rows: bool, stale_only: bool) -> dict[str, Any]:
    from labelloop.store.questions import lineage as store
    from labelloop.store.tables import versions as version_store
    from labelloop.versions.version import find

    version_id = find(version, version_store.all_ids(conn))
    report = {
        "version": version_id,
        **plain(store.counts(conn, version_id)),
        "runs": [
            {"id": run.id, "status": run.status, "feedback_upto": run.feedback_upto, "seed": run.seed}
            for run in store.runs_of(conn, version_id)
        ],
        "reviewers": [plain(row) for row in store.reviewers(conn, version_id)],
    }
    if rows or stale_only:
        report["rows"] = [plain(row) for row in store.training_answers(conn, version_id, stale_only=stale_only)]
    return report


def _lineage(report: Mapping[str, Any]) -> None:
    shown = {key: value for key, value in report.items() if key not in ("rows", "runs", "reviewers")}
    made = [f"{str(run['id'])[:8]} ({run['status']}, answers up to {run['feedback_upto']})" for run in report["runs"]]
    people = [f"{row['reviewer']} ({row['answers']})" for row in report["reviewers"]]
    show({**shown, "runs": made, "reviewers": people}, as_json=False)
    if "rows" in report:
        show([_taught(row) for row in report["rows"]], as_json=False)


def _taught(row: Mapping[str, Any]) -> dict[str, Any]:
    said = [f"{s['reviewer']} (annotation {s['annotation']})" for s in row["said"]]
    now = {None: "as taught", "withdrawn": "withdrawn", "changed": f"changed to {row['now_label']}"}[row["stale"]]
    return {"key": row["key"], "label": row["label"], "answer": row["answer_seq"], "said by": said, "now": now}


def _card(model: Mapping[str, Any]) -> dict[str, Any]:
    decided, file = model["decided"], model["file"]
    state = file["trouble"] or ("as it was made" if file["checked"] else "not looked at")
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
        "accuracy": _accuracy(scores.get("challenger")),
        "gain": _gain(scores.get("gain")),
        "by": row["by"],
        "why": row["why"] or (row["reasons"] or [None])[0],
    }


def _version(report: Mapping[str, Any]) -> None:
    kept = ("version", "called", "tags", "note", "loop", "stage", "learner", "classes", "size_bytes", "trained_on")
    shown = {key: report[key] for key in (*kept, "created_at")}
    show({**shown, "accuracy": _accuracy(report["accuracy"])}, as_json=False)
    show([_run_line(run) | {"as": run["as"]} for run in report["runs"]], as_json=False)


def _run_line(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": run["name"],
        "status": run["status"],
        "requested": run["requested_at"][:19],
        "version": run["version"] and run["version"]["name"],
        "against": run["champion"]["name"],
        "held out": run["holdout"],
        "gain": _gain(run["gain"]),
        "why": run["error"] or (run["reasons"] or [run["why"]])[0],
    }


def _run(report: Mapping[str, Any]) -> None:
    """The verdict in words first; then the figures."""
    click.echo(report["verdict"])
    for reason in [*report["reasons"], *([report["error"]] if report["error"] else [])]:
        click.echo(f"- {reason}")
    for made in report["decisions"]:
        click.echo(f"- {made['decision']} by {made['by']}: {made['why']}")
    figures: dict[str, Any] = {"run": report["id"], "status": report["status"], "asked for because": report["why"]}
    for side in ("champion", "challenger"):
        if report[side] is not None:
            figures[f"{side} {report[side]['name']}"] = _accuracy(report[side])
    detectable = report["detectable"]
    figures |= {
        "gain": _gain(report["gain"]),
        "smallest gain it could see": None if detectable is None else f"{100 * detectable:.1f} points",
        "taught, held out": f"{report['taught']}, {report['held_out']}",
        "cut, seed": f"{report['cut']}, {report['seed']}",
    }
    figures |= {
        f"calibration error of the {side}": f"{found['ece']:.3f}"
        for side, found in (report["calibration"] or {}).items()
        if found and found.get("ece") is not None
    }
    show(figures, as_json=False)
    if report["slices"]:
        show([_slice(found) for found in report["slices"]], as_json=False)


def _slice(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "slice": f"{found['by']} {found['shown']}",
        "n": found["n"],
        "champion": _percent(found["champion"]),
        "challenger": _percent(found["challenger"]),
        "gain": _gain({"value": found["gain"], "low": found["low"], "high": found["high"]}),
        "": "got worse" if found["fell"] else None,
    }


def _accuracy(found: Mapping[str, Any] | None) -> str | None:
    if not found or found.get("accuracy") is None:
        return None
    return f"{_percent(found['accuracy'])} ({_percent(found['low'])} to {_percent(found['high'])})"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"


def _gain(gain: Mapping[str, Any] | None) -> str | None:
    if not gain or gain.get("value") is None:
        return None
    said = f"{100 * gain['value']:+.1f} points"
    if gain.get("low") is None or gain.get("high") is None:
        return said
    return f"{said} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"


COMMANDS = (
    versions,
    runs,
    compare,
    card,
    lineage,
)
