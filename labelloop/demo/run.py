"""The rounds of the demo: submit, let people answer, wait for the verdict, and write down what is true then."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from rich.console import Console

from backend import models
from labelloop.client import Client
from labelloop.demo import figures, replay
from labelloop.demo import items as inputs
from labelloop.demo.items import Items
from labelloop.demo.people import Crew, Person
from labelloop.demo.picture import draw, table
from labelloop.errors import Conflict, Failed, Retriable, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.local.people import sign_up
from labelloop.local.start import find_loops_dir
from labelloop.local.up import Running, UpOptions, up
from labelloop.results import read
from labelloop.spec import LoopSpec, load
from labelloop.store import figures as figure_store
from labelloop.store import jobs, projects, runs
from labelloop.store import versions as version_store
from labelloop.store.database import Database
from labelloop.versions import PIPELINE, short, shown_version

PATIENCE_S = 300.0
"""How long the demo waits for a hop, a child that was killed meanwhile included."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    loop: str = "digits"
    people: int = 3
    skill: float = 0.95
    rounds: int = 6
    per_round: int = 40
    seed: int = 0
    csv: Path | None = None
    text: str | None = None
    label: str | None = None
    leave: bool = False
    json_file: Path | None = None


def run(
    options: DemoOptions,
    up_options: UpOptions,
    console: Console | None = None,
    then: Callable[[Running], None] | None = None,
) -> None:
    """Run the demo; returns when it is over (`leave`), or on Ctrl-C. `then` is called while everything is still up."""
    # A log file has no width of its own; 118 is what the table takes.
    console = console or Console(width=None if sys.stdout.isatty() else 118, highlight=False)
    items, spec = _prepare(options, find_loops_dir(up_options.loops_dir))
    with up(replace(up_options, specs=(spec,)), announce=console.print) as running:
        with Database(running.settings.database_url, size=4) as database:
            demo = _Demo(options, items, spec, running, database, console)
            try:
                demo.play()
            finally:
                demo.close()
        if then is not None:
            then(running)
        if not options.leave:
            console.print(f"\nEverything stays up: {running.settings.label_studio_url} (login above). Ctrl-C ends it.")
            running.wait()


def _prepare(options: DemoOptions, loops_dir: Path) -> tuple[Items, LoopSpec]:
    """The items, and the loop as the demo plays it: a retrain run after each round."""
    if options.loop not in ("digits", "tickets"):
        raise UsageError(f"--loop is {options.loop!r}; the demo has: digits, tickets (with --csv)")
    if (options.loop == "tickets") != (options.csv is not None):
        raise UsageError("the loop tickets takes your own file: --csv FILE --text COLUMN --label COLUMN")
    spec = load(loops_dir / options.loop)
    spec = spec.model_copy(update={"retrain": spec.retrain.model_copy(update={"after": options.per_round})})
    if options.csv is None:
        return inputs.digits(options.seed), spec
    items = inputs.texts(options.csv, options.text, options.label, spec.config.data_fields[0], options.seed)
    return items, spec.with_labels(items.labels)


class _Demo:
    def __init__(
        self,
        options: DemoOptions,
        items: Items,
        spec: LoopSpec,
        running: Running,
        database: Database,
        console: Console,
    ) -> None:
        self.options, self.items, self.spec, self.database, self.console = options, items, spec, database, console
        self.settings = running.settings
        self.gateway = Gateway(self.settings.label_studio_url, self.settings.label_studio_token)
        self.crew = Crew([])
        self.pipeline_labels: list[str] = []
        self.rounds: list[dict[str, Any]] = []

    def close(self) -> None:
        self.crew.close()
        self.gateway.close()

    def play(self) -> None:
        keys = self._submit()
        project = self._wait("the project in Label Studio", self._project)
        self._hire(int(project["project_id"]))
        start = replay.share_right(self.pipeline_labels, self.items)
        self.console.print(f"Its model has {start:.1%} of the test part right, which nobody is shown.\n")
        for number in range(1, self.options.rounds + 1):
            self.rounds.append(self._round(number))
        shown = figures.report(self.database, self.gateway, self.spec.name, keys) | {"rounds": self.rounds}
        self._tell(shown, start)

    # -- hops, as their users drive them -------------------------------------------------------------------------

    def _submit(self) -> list[str]:
        outputs, self.pipeline_labels = inputs.weak_outputs(self.items, self.options.seed)
        try:
            with Client(self.settings.sync_url, self.settings.intake_token) as client:
                receipt = client.submit(outputs, loop=self.spec.name)
        except Conflict as exc:
            raise UsageError(
                f"this data folder holds a demo with another seed or file ({exc}); name another with --data-dir"
            ) from exc
        self.console.print(
            f"The pipeline, a model fitted to {len(self.items.few)} items, submitted {len(outputs):,} outputs: "
            f"{receipt.new:,} new, {receipt.known:,} known."
        )
        return [output.key for output in outputs]

    def _hire(self, project_id: int) -> None:
        if self.options.people == 0:
            url = f"{self.settings.label_studio_url}/projects/{project_id}/data"
            self.console.print(f"[bold]It is your turn:[/] open {url} and press Label All Tasks.")
            return
        invite = self.gateway.invite_url()
        truth = self.items.truth_of()
        people = []
        for n in range(1, self.options.people + 1):
            email = f"simulated-{n}@demo.labelloop.local"
            session = sign_up(self.settings.label_studio_url, invite, email, f"{self.settings.hook_secret[:20]}-{n}")
            rng = random.Random(f"{self.options.seed}/{n}/{len(self._finished_runs())}")
            people.append(Person(email, session, project_id, self.spec.config, truth, self.options.skill, rng))
        self.crew = Crew(people)
        self.console.print(
            f"[bold]{len(people)} simulated people[/] (programs, not persons) work through Label Studio's next-task "
            f"stream; each gives the true label {self.options.skill:.0%} of the time."
        )

    def _round(self, number: int) -> dict[str, Any]:
        known = {run["id"] for run in self._finished_runs()}
        before = self._answered()
        with self.console.status("") as status:

            def progress(done: int, of: int = self.options.per_round) -> None:
                status.update(f"Round {number}: {done} of {of} answers")

            if self.crew.people:
                given = self.crew.work(self.options.per_round, progress)
                if given < self.options.per_round:
                    self.console.print(f"Round {number}: Label Studio had only {given} tasks left to serve.")
                status.update(f"Round {number}: waiting for {given} answers to arrive in Postgres")
                self._wait("the answers in Postgres", lambda: self._answered() >= before + given or None)
            else:
                progress(0)
                while not self._new_run(known):
                    progress(self._answered() - before)
                    time.sleep(1)
            status.update(f"Round {number}: a challenger is trained and judged")
            run = self._wait("a verdict", lambda: self._verdict(known))
            status.update(f"Round {number}: the window is ranked and prelabelled anew")
            self._wait("the window", self._window_is_renewed)
        row = self._row(run)
        verdict = "promoted" if row["promoted"] else run["status"]
        said = "; ".join(row["reasons"]) or run["error"]
        self.console.print(f"Round {number}: {row['answers']} answers. [bold]{verdict}[/]: {said}")
        return row

    # -- what is true now ----------------------------------------------------------------------------------------

    def _row(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """One round's figures, all of them read back: from Postgres, from the served model, from the version file."""
        with self.database.transaction() as conn:
            champion = version_store.champion(conn, self.spec.name)
            teachable = figure_store.teachable(conn, self.spec.name)
            answers = figure_store.counts(conn, self.spec.name)["answered"]
        scores = run["scores"] or {}
        served = scores.get("challenger" if run["status"] == "promoted" else "champion") or {}
        trained_on = scores.get("trained_on") or 0
        index = {key: i for i, key in enumerate(self.items.keys)}
        random_order = (
            replay.random_order(
                self.items, [index[k] for k in teachable], trained_on, self.spec, self.options.skill, self.options.seed
            )
            if trained_on
            else None
        )
        challenger = None
        if run["version_id"] is not None and self.settings.models_dir is not None:
            challenger = replay.accuracy(models.load(self.settings.models_dir, run["version_id"]), self.items)
        return {
            "answers": answers,
            "taught": trained_on,
            "champion": PIPELINE if champion is None else short(champion["id"]),
            "accuracy": served.get("accuracy"),
            "low": served.get("low"),
            "high": served.get("high"),
            "test_accuracy": replay.share_right(self._served_labels(champion), self.items),
            "challenger_test_accuracy": challenger,
            "random_test_accuracy": random_order and random_order.mean,
            "random_low": random_order and random_order.low,
            "random_high": random_order and random_order.high,
            "promoted": run["status"] == "promoted",
            "reasons": list(run["reasons"]) or [run["error"] or "no reason was given"],
        }

    def _served_labels(self, champion: Mapping[str, Any] | None) -> list[str | None]:
        """What the running ML backend answers for the test part; the pipeline's own labels while it has no champion."""
        if champion is None:
            return list(self.pipeline_labels)
        project = self._project()
        labels: list[str | None] = []
        for start in range(0, len(self.items.test), 100):
            tasks = [{"id": i, "data": self.items.data[i]} for i in self.items.test[start : start + 100]]
            body = {"tasks": tasks, "project": f"{project['project_id'] if project else 0}.0", "params": {}}
            answer = self._wait("the ML backend", partial(self._predict, body, champion["id"]))
            labels += [read(self.spec.config, result["result"], None).label for result in answer]
        return labels

    def _predict(self, body: object, champion_id: str) -> list[dict[str, Any]] | None:
        """The backend's answer; None while it does not answer, or still serves another version."""
        auth = (self.settings.backend_user, self.settings.backend_password)
        try:
            answer = httpx.post(f"{self.settings.backend_url}/predict", json=body, auth=auth, timeout=60)
        except httpx.TransportError:
            return None
        if answer.status_code >= 500:
            return None
        results: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
        return results if all(r["model_version"] == short(champion_id) for r in results) else None

    def _project(self) -> Mapping[str, Any] | None:
        with self.database.transaction() as conn:
            project = projects.get(conn, self.spec.name)
        return project if project and project["project_id"] is not None else None

    def _answered(self) -> int:
        with self.database.transaction() as conn:
            return int(figure_store.counts(conn, self.spec.name)["answered"])

    def _finished_runs(self) -> list[dict[str, Any]]:
        with self.database.transaction() as conn:
            latest = runs.latest(conn, self.spec.name, 1000)
        return [run for run in latest if run["status"] not in ("queued", "running")]

    def _new_run(self, known: set[Any]) -> bool:
        with self.database.transaction() as conn:
            return any(run["id"] not in known for run in runs.latest(conn, self.spec.name, 5))

    def _verdict(self, known: set[Any]) -> dict[str, Any] | None:
        """The newest run that was not there before and has ended; a run is asked for where none comes by itself."""
        with self.database.transaction() as conn:
            latest = [run for run in runs.latest(conn, self.spec.name, 5) if run["id"] not in known]
            if latest and all(run["status"] in ("promoted", "refused", "failed") for run in latest):
                return latest[0]
            if not latest and runs.new_answers(conn, self.spec.name) < self.spec.retrain.after:
                # A task that was served twice, or an answer nobody could read: the round has an answer less.
                runs.request(conn, self.spec.name, "the demo's round is over")
                jobs.ask(conn, jobs.RETRAIN, self.spec.name)
        return None

    def _window_is_renewed(self) -> bool | None:
        with self.database.transaction() as conn:
            champion = version_store.champion(conn, self.spec.name)
            shown = shown_version(
                None if champion is None else champion["id"], version_store.ranker(conn, self.spec.name)
            )
            project = projects.get(conn, self.spec.name)
            stale = figure_store.stale_tasks(conn, self.spec.name, shown)
        return (project is not None and project["model_version"] == shown and stale == 0) or None

    def _wait(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` returns, once it is not None; a service that is away meanwhile is waited for."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                found = look()
            except Retriable:
                found = None
            if found is not None:
                return found
            time.sleep(0.25)
        raise Failed(f"{what}: nothing came within {PATIENCE_S:g} s; the logs are in {self.settings.data_dir / 'logs'}")

    # -- telling -------------------------------------------------------------------------------------------------

    def _tell(self, shown: Mapping[str, Any], start: float) -> None:
        people = f"{self.options.people} simulated people" if self.options.people else "you"
        self.console.print()
        self.console.print(table(self.rounds, people))
        self.console.print(
            f"[dim]Random order: a replay with the same learner, as many answers taught and the same skill, the mean "
            f"of {replay.ORDERS} orders.[/]\n{figures.verdict(self.rounds)}"
        )
        self.console.print(
            f"{shown['submitted']:,} submitted, {shown['passed']:,} passed, {shown['answered']:,} answered; "
            f"Label Studio has {shown['label_studio']['annotations']:,} annotations, Postgres "
            f"{shown['postgres']['annotations']:,}; lost {shown['lost']}, duplicated {shown['duplicated']}."
        )
        picture = self.settings.data_dir / f"demo-{self.spec.name}.png"
        draw(self.rounds, start, picture, f"labelloop demo, loop {self.spec.name}: {people}")
        self.console.print(f"The curve: {picture}")
        if self.options.json_file is not None:
            self.options.json_file.write_text(json.dumps(shown, indent=2) + "\n")
