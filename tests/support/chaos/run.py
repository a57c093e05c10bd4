"""One run: the product under faults while pipelines submit, people answer and models are trained; then the census."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from tests.support.chaos.census import Places, census
from tests.support.chaos.links import pause
from tests.support.chaos.people import Person
from tests.support.chaos.pipelines import Pipeline
from tests.support.chaos.schedule import Fault, schedule
from tests.support.chaos.stage import LOOPS, Stage, until

PEOPLE, PIPELINES = 3, 2
SETTLE_S = 240.0
"""Seconds after the last fault in which everything must be equal again, on a machine that may be busy."""
Tell = Callable[[str], object]


@dataclass
class Report:
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    """Findings of the census and of the doctor; empty if all is well."""
    settled_s: float = 0.0
    """Seconds from the last fault until the census found nothing."""

    @property
    def is_good(self) -> bool:
        return not self.differences


@dataclass
class Run:
    """A stage with its pipelines and people. The ledgers are theirs, outside of the product."""

    stage: Stage
    seed: int
    tell: Tell
    pipelines: list[Pipeline] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)

    def chaos(self, seconds: float) -> Report:
        """Run for this long under faults, then settle and count."""
        report = Report(self.seed)
        over = threading.Event()
        with self._at_work(over):
            self._faults(seconds, over)
            over.set()
            self.stage.calm()
            self.tell("no more faults: everything must be equal soon")
        self._settle(report)
        self._count(report)
        return report

    @contextmanager
    def _at_work(self, over: threading.Event) -> Iterator[None]:
        """Let the pipelines submit and the people answer, each in a thread."""
        rng, own = random.Random(self.seed), self.stage.settings
        self.pipelines = [
            Pipeline(f"pipeline-{i}", self.stage.http["intake"].url, own.intake_token, tuple(LOOPS),
                     random.Random(rng.random())) for i in range(PIPELINES)
        ]  # fmt: skip
        threads = [threading.Thread(target=one.run, args=(over,)) for one in self.pipelines]
        for thread in threads:
            thread.start()
        try:
            assert until(lambda: len(self.projects()) == len(LOOPS), 120), "no projects were made in Label Studio"
            for i in range(PEOPLE):
                _, web = self.stage.people_at.sign_up(f"person-{i}@example.org")
                web.timeout = httpx.Timeout(20)
                rng_of = random.Random(rng.random())
                self.people.append(Person(f"person-{i}", web, sorted(self.projects().values()), rng_of))
            threads += [threading.Thread(target=one.run, args=(over,)) for one in self.people]
            for thread in threads[PIPELINES:]:
                thread.start()
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _faults(self, seconds: float, over: threading.Event) -> None:
        began = time.monotonic()
        rng = random.Random(self.seed)
        lasting: list[threading.Thread] = []
        for fault in schedule(self.seed, seconds):
            pause(began + fault.at_s - time.monotonic(), over)
            self.tell(str(fault))
            lasting.append(threading.Thread(target=self._suffer, args=(fault, random.Random(rng.random()), over)))
            lasting[-1].start()
        pause(began + seconds - time.monotonic(), over)
        for thread in lasting:
            thread.join()

    def _suffer(self, fault: Fault, rng: random.Random, over: threading.Event) -> None:
        stage = self.stage
        match fault.kind:
            case "kill":
                stage.kill(fault.where, rng)
            case "stop":
                processes = stage.tree(fault.where)
                stage.signal(processes, signal.SIGSTOP)
                pause(fault.for_s, over)
                stage.signal(processes, signal.SIGCONT)
            case "bad weather":
                stage.http[fault.where].rate = rng.uniform(0.2, 0.6)
                pause(fault.for_s, over)
                stage.http[fault.where].rate = 0.0
            case "reset":
                stage.tcp[fault.where].reset()
            case "silence":
                stage.tcp[fault.where].hush()
                pause(fault.for_s, over)
                stage.tcp[fault.where].speak()

    def _settle(self, report: Report) -> None:
        """Wait until the census finds nothing. A restarted worker sweeps, as one that runs does every 15 minutes."""
        began = time.monotonic()
        for name in ("sync-worker", "sync-worker-2"):
            self.stage.signal(self.stage.tree(name)[:1], signal.SIGTERM)
        last = [""]

        def equal() -> bool:
            try:
                report.differences = self.differences()
            except (httpx.HTTPError, psycopg.Error, ValueError) as exc:
                report.differences = [f"the census cannot look: {type(exc).__name__}: {exc}"]
            now = f"{len(report.differences)} differences, such as {report.differences[:2]}"
            if now != last[0] and report.differences:
                last[0] = now
                self.tell(now)
            return not report.differences

        until(equal, SETTLE_S)
        report.settled_s = time.monotonic() - began
        if report.is_good and not until(lambda: not self._doctor(report), 60):
            report.differences += self._doctor(report)

    def differences(self) -> list[str]:
        """Return what the census finds now, and what the pipelines have complained about."""
        own = self.stage.settings
        at = Places(
            self.stage.postgres_url, self.stage.label_studio_url, own.label_studio_token, own.backend_url,
            (own.backend_user, own.backend_password), self.stage.folder / "models",
        )  # fmt: skip
        acknowledged = {key: output for one in self.pipelines for key, output in one.acknowledged.items()}
        tried = {key: output for one in self.pipelines for key, output in one.tried.items()}
        may_be = {id_: labels for one in self.people for id_, labels in one.may_be.items()}
        return [*(fault for one in self.pipelines for fault in one.faults), *census(at, acknowledged, tried, may_be)]

    def _doctor(self, report: Report) -> list[str]:
        """Return what the doctor of the product finds; it must be green as well."""
        command = self.stage.command("doctor", "--deep", "--settle", "60", "--json")
        if command.returncode == 0:
            return []
        try:
            found = [f for f in json.loads(command.stdout)["findings"] if f["level"] not in ("ok", "hint")]
        except ValueError:
            return [f"doctor ended with {command.returncode}: {command.stderr[-500:]}"]
        return [f"doctor: {f['loop']}: {f['check']}: {f['says']}" for f in found]

    def projects(self) -> dict[str, int]:
        try:
            with psycopg.connect(self.stage.postgres_url) as conn:
                rows = conn.execute("select loop, project_id from projects where project_id is not null").fetchall()
        except psycopg.OperationalError:
            return {}
        return dict(rows)

    def _count(self, report: Report) -> None:
        counts = report.counts
        counts["outputs"] = sum(len(one.acknowledged) for one in self.pipelines)
        counts["times that a client gave up"] = sum(one.giving_up for one in self.pipelines)
        for person in self.people:
            counts.update({f"of people: {act}": n for act, n in person.acts.items()})
        counts["annotations with a lost reply"] = sum(len(v) > 1 for one in self.people for v in one.may_be.values())
        for link in self.stage.http.values():
            counts.update({f"on the link {link.name}: {fault}": n for fault, n in link.suffered.items()})
        counts.update({f"exits of {name}": n for name, n in self.stage.supervisor.ends().items()})
        with psycopg.connect(self.stage.postgres_url) as conn:
            for table in ("tasks", "annotation_versions", "answers", "retrain_runs", "promotions"):
                row = conn.execute(f"select count(*) from {table}").fetchone()
                counts[f"rows of {table}"] = int(row[0]) if row else 0
            for state, n in conn.execute("select state::text, count(*) from batches group by 1").fetchall():
                counts[f"batches {state}"] = n


def words(report: Report) -> str:
    """Return the report for people."""
    lines = [f"seed {report.seed}: {'all is equal' if report.is_good else 'DIFFERENCES'}"]
    lines += [f"  {what:<44} {n:>6}" for what, n in sorted(report.counts.items())]
    lines += [f"  {'seconds until everything was equal':<44} {report.settled_s:>6.0f}"]
    lines += [f"  DIFFERENCE {one}" for one in report.differences[:50]]
    return "\n".join(lines)


def folder_of(root: Path, seed: int) -> Path:
    return root / f"chaos-{seed}"
