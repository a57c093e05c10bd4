"""The command about training runs: runs. It prints the figures of the review pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from console.cli.output import accuracy_words, gain_words, percent_words, print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.process.settings import Settings


@click.command()
@click.argument("run", required=False)
@one_of_the_loops
@as_json_too
@with_settings
def runs(settings: Settings, run: str | None, loop: str | None, as_json: bool) -> None:
    """List the latest runs of a loop, newest first. With RUN: show its verdict and the evidence.

    RUN is the run's id, or the first characters of it.
    """
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
    show([run_line(row) for row in rows], as_json=False)


def run_line(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": run["name"],
        "status": run["status"],
        "requested": run["requested_at"][:19],
        "version": run["version"] and run["version"]["name"],
        "compared with": run["champion"]["name"],
        "held out": run["holdout"],
        "gain": gain_words(run["gain"]),
        "why": run["error"] or (run["reasons"] or [run["why"]])[0],
    }


def _run(report: Mapping[str, Any]) -> None:
    """Print the verdict in words, then the figures."""
    click.echo(report["verdict"])
    for reason in [*report["reasons"], *([report["error"]] if report["error"] else [])]:
        click.echo(f"- {reason}")
    for made in report["decisions"]:
        click.echo(f"- {made['decision']} by {made['by']}: {made['why']}")
    figures: dict[str, Any] = {"run": report["id"], "status": report["status"], "requested because": report["why"]}
    for side in ("champion", "challenger"):
        if report[side] is not None:
            figures[f"{side} {report[side]['name']}"] = accuracy_words(report[side])
    detectable = report["detectable"]
    figures |= {
        "gain": gain_words(report["gain"]),
        "expected loss": None if report["loss"] is None else _loss(report["loss"]),
        "detectable gain": None if detectable is None else f"{100 * detectable:.1f} points",
        "trained on, held out": f"{report['taught']}, {report['held_out']}",
        "answers up to, seed": f"{report['cut']}, {report['seed']}",
    }
    figures |= {
        f"calibration error (ECE) of the {side}": _calibration(found)
        for side, found in (report["calibration"] or {}).items()
        if found and found.get("ece") is not None
    }
    figures |= {
        row["name"]: f"champion {row['champion']}, challenger {row['challenger']}" for row in report["measured"]
    }
    show(figures, as_json=False)
    if report["slices"]:
        show([_slice(found) for found in report["slices"]], as_json=False)


def _loss(loss: Mapping[str, float]) -> str:
    return f"{100 * loss['promoting']:.2f} points by promoting it, {100 * loss['waiting']:.2f} by waiting"


def _slice(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line of the table; the interval holds for all judged slices at once."""
    ends = "" if found.get("joint_low") is None else "joint_"
    detectable = found.get("detectable")
    said = [words for key, words in (("fell", "got worse"), ("watched", "watched")) if found.get(key)]
    return {
        "slice": f"{found['by']} {found['shown']}",
        "n": found["n"],
        "champion": percent_words(found["champion"]),
        "challenger": percent_words(found["challenger"]),
        "gain": gain_words({"value": found["gain"], "low": found[f"{ends}low"], "high": found[f"{ends}high"]}),
        "detectable loss": None if detectable is None else f"{100 * detectable:.0f} points",
        "": ", ".join(said) or None,
    }


def _calibration(found: Mapping[str, Any]) -> str | None:
    words = percent_words(found["ece"])
    if found.get("high") is None:
        return words
    return f"{words} (90 % CI {100 * found['low']:.1f} to {100 * found['high']:.1f})"


COMMANDS = (runs,)
