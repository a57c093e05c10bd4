"""`make chaos`: ten minutes of random faults on the whole product, then a census. Exit status 1 on any difference."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.support.chaos.run import Run, words
from tests.support.chaos.schedule import schedule
from tests.support.chaos.stage import stage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of the faults, the texts and the people  [a new one]")
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults  [10]")
    parser.add_argument("--plan", action="store_true", help="only print the faults")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    seconds = 60 * given.minutes
    print(f"seed {seed}; again with: make chaos SEED={seed} MINUTES={given.minutes:g}", flush=True)
    if given.plan:
        print(*schedule(seed, seconds), sep="\n")
        return 0
    folder = Path(tempfile.mkdtemp(prefix=f"labelloop-chaos-{seed}-"))
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    tell(f"data and logs are in {folder}")
    with stage(folder, seed, tell) as made:
        report = Run(made, seed, tell).chaos(seconds)
        print(words(report), flush=True)
        if not report.is_good:
            dump(folder, made.postgres_url)
    if report.is_good:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(f"logs, and a dump of Postgres, are kept in {folder}", flush=True)
    return 1


def dump(folder: Path, url: str) -> None:
    """Write our tables into the folder, since its Postgres is removed."""
    import subprocess

    with (folder / "labelloop.sql").open("w") as file:
        subprocess.run(["pg_dump", "--inserts", url], check=False, stdout=file)


if __name__ == "__main__":
    sys.exit(main())
