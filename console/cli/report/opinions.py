"""`labelloop report opinions`: how many answers each item took, how certain they are, and how good each person is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from console.cli.output import print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.process.settings import Settings


@click.command()
@one_of_the_loops
@as_json_too
@with_settings
def opinions(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Report how many people answered each item, and how good each person's answers are.

    The quality is estimated from the answers of others to the same items, unless the consensus is majority. Gold items
    have a known answer, and on some the prelabel is wrong: "wrong kept" is the share of these that the person submitted
    unchanged. Each rate has its 95 % interval.
    """
    from backend.report.estimates.opinions import opinions_report

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            found = opinions_report(conn, name)
    if as_json:
        return print_json(found)
    click.echo("\n".join(found["sentences"]))
    if found["people"]:
        click.echo()
        show([_line(person) for person in found["people"]], as_json=False)


def _line(person: Mapping[str, Any]) -> dict[str, Any]:
    quality, gold, wrong = person["quality"], person["gold"], person["wrong_prelabels"]
    return {
        "person": person["name"],
        "answered": person["answered"],
        "quality, %": _rate(quality["value"], quality),
        "gold correct, %": _rate(gold["accuracy"], gold, f"{gold['correct']} of {gold['n']}"),
        "wrong kept, %": _rate(wrong["share"], wrong, f"{wrong['kept']} of {wrong['shown']}"),
    }


def _rate(value: float | None, found: Mapping[str, Any], of: str = "") -> str | None:
    from backend.report.words import interval

    if value is None:
        return None
    return f"{of}; " * bool(of) + f"{100 * value:.0f} ({interval(found)})"
