"""`labelloop report threshold` shows what may pass unseen, and revokes what passed."""

from __future__ import annotations

from typing import Any

import click

from console.cli.decisions import me, signed_by
from console.cli.output import print_json, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

NEEDED = (
    "Answers that certify the promise in 80 of 100 cases, if all are above the threshold, by the true error rate\n"
    "there. One look: as if it were the only one. This loop's test looks several times and leaves later models a\n"
    "part of the chance of error, so it needs more:"
)


@click.command()
@one_of_the_loops
@click.option("--by-label", is_flag=True, help="Show a curve for each label too.")
@click.option("--certify", "renew", is_flag=True, help="Bring the certificate up to date now, as the worker does.")
@click.option("--revoke", metavar="CERTIFICATE", help="Send all that it let pass back to people.")
@click.option("--why", help="Why it is revoked, for the record.")
@signed_by("Name of the person who revokes it.", always=False)
@as_json_too
@with_settings
def threshold(
    settings: Settings,
    loop: str | None,
    by_label: bool,
    renew: bool,
    revoke: str | None,
    why: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Show what may pass unseen, and the promise about it: `accept` in loop.yaml.

    The table says for each confidence how many outputs lie above it, and how many of the answers there are incorrect.
    Without a certificate it says about how many answers are missing. Only answers that chance chose count. --revoke
    also ends later certificates that rest on the same answers.
    """
    from backend.report.estimates.threshold import threshold_report
    from backend.report.parts import as_json as in_json_types
    from backend.train import certify
    from labelloop.store.promises import certificates
    from labelloop.store.tables import loops

    if (revoke is None) != (why is None):
        raise UsageError("--revoke and --why belong together: name the certificate, and say why it is revoked")
    if why is not None and not why.strip():
        raise UsageError("--why: say in a few words why it is revoked")
    given = click.get_current_context().get_parameter_source("by")
    if revoke is None and given is click.core.ParameterSource.COMMANDLINE:
        raise UsageError("--by names the person who revokes, and belongs to --revoke; --by-label shows each label")
    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        if revoke is not None or renew:
            with db.transaction() as conn:
                spec = loops.get(conn, name)
                assert spec is not None
                if revoke is not None and why is not None:
                    one = certificates.find(conn, name, revoke)
                    n = certify.revoke(conn, spec, one, by or me(), why.strip())
                    if n is None:
                        raise UsageError(f"certificate {str(one.id)[:8]} was revoked already, by {one.revoked_by}")
                    words = "output goes" if n == 1 else "outputs go"
                    click.echo(f"Certificate {str(one.id)[:8]} is revoked: {n:,} {words} back to people.", err=True)
                else:
                    certify.certify(conn, spec)
        with db.transaction() as conn:
            found = threshold_report(conn, name, "label" if by_label else None)
    if as_json:
        return print_json(in_json_types(found))
    click.echo("\n".join(found["sentences"]))
    for curve in found["curves"]:
        click.echo(f"\nlabel {curve['label']}" if curve["label"] else "")
        if curve["points"]:
            show([_line(point, curve) for point in curve["points"]], as_json=False)
        else:
            click.echo("no curve: no output with a confidence came in that counts")
    click.echo(f"\n{NEEDED}")
    show([_needed(row) for row in found["needed"]], as_json=False)


def _needed(row: dict[str, Any]) -> dict[str, object]:
    from backend.report.words import up_to_most

    return {
        "true error rate, %": f"{100 * row['truth']:.2f}",
        "one look": up_to_most(row["answers"]),
        "this loop's test": up_to_most(row["own_test"]),
    }


def _line(point: dict[str, float | None], curve: dict[str, float | None]) -> dict[str, object]:
    from backend.report.words import interval, percent

    threshold, certified = point["threshold"], curve["threshold"]
    assert threshold is not None
    return {
        "confidence from, %": f"{100 * threshold:.2f}",
        "outputs": percent(point["share"]),
        "answers": point["answers"],
        "incorrect": percent(point["error"]) if point["answers"] else None,
        "95 % CI": interval(point),
        "passes": "yes" if certified is not None and threshold >= certified else "no",
    }
