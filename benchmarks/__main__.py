"""`python -m benchmarks [NAME...] [--json FILE] [--quick]`: run them, print the table of operators/performance.md."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import httpx
import psycopg

from benchmarks import (
    adopt,
    answering,
    diverse,
    intake,
    kafka,
    memory,
    next_k,
    predict,
    pull,
    push,
    ranking,
    record,
    submit,
)
from benchmarks.support.goals import Measured, markdown
from benchmarks.support.rooms import Servers, servers
from benchmarks.working import compare, encode, renewal, rescore

BENCHMARKS: Mapping[str, Callable[..., list[Measured]]] = {
    "intake": intake.measure,
    "kafka": kafka.measure,
    "push": push.measure,
    "pull": pull.measure,
    "adopt": adopt.measure,
    "submit": submit.measure,
    "predict": predict.measure,
    "memory": memory.measure,
    "ranking": ranking.measure,
    "diverse": diverse.measure,
    "next_k": next_k.measure,
    "rescore": rescore.measure,
    "renewal": renewal.measure,
    "answering": answering.measure,
    "encode": encode.measure,
    "compare": compare.measure,
    "record": record.measure,
}
NEED_LABEL_STUDIO = {"adopt", "encode", "push", "pull", "submit", "memory", "renewal"}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)), metavar="[NAME]...")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here too.")
@click.option("--quick", is_flag=True, help="Fewer and smaller repeats: whether it runs, not what it costs.")
def main(names: Sequence[str], file: Path | None, quick: bool) -> None:
    """Measure labelloop against peers in the same run; all benchmarks unless some are named.

    LABELLOOP_TEST_POSTGRES and LABELLOOP_TEST_LABEL_STUDIO ("url|token") name servers that are running already.
    """
    names = names or list(BENCHMARKS)
    began = time.monotonic()
    results: list[Measured] = []
    with servers(with_label_studio=bool(NEED_LABEL_STUDIO & set(names))) as running:
        setting = context(running)
        click.echo(setting)
        for name in names:
            for measured in BENCHMARKS[name](running, quick=quick):
                click.echo(f"{measured.goal.name}: {measured.median:.2f} {measured.goal.unit}; {measured.facts}")
                results.append(measured)
    click.echo(f"\n{markdown(results)}\n\n{time.monotonic() - began:.0f} s")
    if file is not None:
        file.write_text(json.dumps({"context": setting, "results": [as_json(one) for one in results]}, indent=2) + "\n")


def context(running: Servers) -> str:
    """Versions and the machine that the figures depend on, beside the code."""
    with psycopg.connect(running.postgres) as conn:
        postgres = conn.info.parameter_status("server_version")
    parts = [f"{os.cpu_count()} cores", f"Python {platform.python_version()}", f"Postgres {postgres}"]
    if running.label_studio:
        version = httpx.get(f"{running.label_studio}/api/version", timeout=30).raise_for_status().json()["release"]
        parts.append(f"Label Studio {version}")
    return ", ".join([*parts, f"load average {os.getloadavg()[0]:.1f} at the start"])


def as_json(measured: Measured) -> dict[str, object]:
    goal = measured.goal
    return {
        "name": goal.name,
        "against": goal.against,
        "values": list(measured.values),
        "median": measured.median,
        "limit": goal.limit,
        "unit": goal.unit,
        "at_least": goal.at_least,
        "reached": measured.reached,
        "facts": measured.facts,
    }


if __name__ == "__main__":
    main()
