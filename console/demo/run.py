"""The rounds of the demo: submit, let annotators answer, wait for the verdict, then measure."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from console.demo import figures, replay
from console.demo import items as inputs
from console.demo.items import Items
from console.demo.measure import Measure
from console.demo.options import DemoOptions
from console.demo.people import Crew, Person
from console.demo.picture import draw, table
from console.demo.retrying import retrying
from console.local.people import sign_up
from console.local.start import EXAMPLES, find_loops_dir
from console.local.steps import Progress, silent
from console.local.up import Running, UpOptions, up
from labelloop.client import Client
from labelloop.errors import Conflict, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import figures as figure_store
from labelloop.store.questions import new_answers
from labelloop.store.questions.figures import LoopCounts
from labelloop.store.tables import jobs, projects, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import VersionPair

SETTLE_S = 30.0
"""Seconds after the last round by which every answer must have arrived; later ones count as lost."""


def run(
    options: DemoOptions,
    up_options: UpOptions,
    console: Console | None = None,
    then: Callable[[Running], None] | None = None,
    progress: Progress = silent,
) -> None:
    """Run the demo. Returns at its end if `leave` is set, else on Ctrl-C. `then` is called while all services run."""
    # A log file has no width of its own; the table needs 118 columns.
    console = console or Console(width=None if sys.stdout.isatty() else 118, highlight=False)
    if options.json_file is not None and not options.json_file.absolute().parent.is_dir():
        raise UsageError(f"--json is {options.json_file}; there is no folder {options.json_file.absolute().parent}")
    items, spec = _prepare(options, _folder(options.loop, up_options.loops_dir))
    with up(replace(up_options, specs=(spec,)), announce=console.print, progress=progress) as running:
        with Database(running.settings.database_url, size=4) as database:
            demo = _Demo(options, items, spec, running, database, console)
            try:
                demo.play()
            finally:
                demo.close()
        if then is not None:
            then(running)
        if not options.leave:
            console.print(
                f"\nAll services keep running: {running.settings.label_studio_url} (login above). Ctrl-C stops them."
            )
            running.wait(console.print)


def _folder(loop: str, given: Path | None) -> Path:
    """Return the folder with this loop: the given one, else `labeling_configs` here, else that of the installation."""
    here = find_loops_dir(given)
    return here if given is not None or (here / loop).is_dir() else EXAMPLES


def _prepare(options: DemoOptions, loops_dir: Path) -> tuple[Items, LoopSpec]:
    """Return the items, and the spec of the loop, changed so that a run follows each round."""
    if options.loop not in ("digits", "tickets"):
        raise UsageError(f"--loop is {options.loop!r}; the demo has: digits, tickets (with --csv)")
    if (options.loop == "tickets") != (options.csv is not None) or (options.csv is None and options.text):
        raise UsageError("the loop tickets needs your own file: --csv FILE --text COLUMN --label COLUMN")
    spec = load(loops_dir / options.loop)
    spec = spec.model_copy(update={"retrain": spec.retrain.model_copy(update={"after": options.per_round})})
    if options.csv is None:
        return inputs.digits(options.seed), spec
    items = inputs.texts(
        options.csv, options.text, options.label, spec.config.data_fields[0], options.seed, options.encoding
    )
    if items.contradicted:
        warning = f"{items.contradicted:,} texts of {options.csv} have several labels; the last one counts as true"
        print(warning, file=sys.stderr)
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
        self.measure: Measure
        self.rounds: list[dict[str, Any]] = []
        self.given = 0
        """Answers that Label Studio confirmed in this run."""

    def close(self) -> None:
        self.crew.close()
        self.gateway.close()

    def play(self) -> None:
        keys, pipeline_labels = self._submit()
        start = replay.accuracy_of(pipeline_labels, self.items)
        self.console.print(f"Its accuracy is {start:.1%} on the test set, which no annotator sees.")
        project = retrying("the project in Label Studio", self._project)
        self._hire(project.id)
        self.measure = Measure(self.items, self.spec, self.settings, self.database, pipeline_labels, self.options)
        self.console.print()
        for number in range(1, self.options.rounds + 1):
            self.rounds.append(self._round(number))
        self._print(self._report(keys) | {"rounds": self.rounds, "gate": figures.of_gate(self.rounds, start)}, start)

    # -- the hops, through the public interfaces -----------------------------------------------------------------------

    def _submit(self) -> tuple[list[str], list[str]]:
        """Submit the outputs. Return their keys, and the pipeline's labels for the test set."""
        outputs, test_labels = inputs.weak_outputs(self.items, self.options.seed)
        try:
            with Client(self.settings.sync_url, self.settings.intake_token) as client:
                receipt = client.submit(outputs, loop=self.spec.name)
        except Conflict as exc:
            raise UsageError(
                f"this data folder has a demo with another seed or file ({exc}); choose another with --data-dir"
            ) from exc
        self.console.print(
            f"The pipeline, a model trained on {len(self.items.few)} items, submitted {len(outputs):,} outputs: "
            f"{receipt.new:,} new, {receipt.known:,} known."
        )
        return [output.key for output in outputs], test_labels

    def _hire(self, project_id: ProjectId) -> None:
        if self.options.people == 0:
            url = f"{self.settings.label_studio_url}/projects/{project_id}/data"
            self.console.print(f"[bold]Your turn:[/] open {url} and press Label All Tasks.")
            return
        invite = self.gateway.invite_url()
        truth = self.items.truth_of()
        ended = len(retrying("the runs", self._finished_runs))
        people = []
        for n in range(1, self.options.people + 1):
            email = f"simulated-{n}@demo.labelloop.local"
            session = sign_up(self.settings.label_studio_url, invite, email, f"{self.settings.hook_secret[:20]}-{n}")
            rng = random.Random(f"{self.options.seed}/{n}/{ended}")
            people.append(Person(email, session, project_id, self.spec.config, truth, self.options.skill, rng))
        self.crew = Crew(people)
        self.console.print(
            f"[bold]{len(people)} simulated annotators[/] (programs, not persons) answer Label Studio's next-task "
            f"stream; each gives the true label with probability {self.options.skill:.0%}."
        )

    def _round(self, number: int) -> dict[str, Any]:
        known = {run.id for run in retrying("the runs", self._finished_runs)}
        before = retrying("the counts", self._counts)
        with self.console.status("") as status:

            def progress(done: int, of: int = self.options.per_round) -> None:
                status.update(f"Round {number}: {done} of {of} answers")

            if self.crew.people:
                given = self.crew.work(self.options.per_round, progress)
                self.given += given
                if given < self.options.per_round:
                    self.console.print(f"Round {number}: Label Studio had only {given} tasks left.")
                status.update(f"Round {number}: waiting for {given} answers to arrive in Postgres")
                # Counts feedback, not outputs: on SQLite, Label Studio sometimes serves one task to two annotators.
                wanted = before.feedback + given
                retrying("the answers in Postgres", lambda: self._counts().feedback >= wanted or None)
            else:
                while not retrying("the runs", lambda: self._new_run(known)):
                    progress(retrying("the counts", self._counts).answered - before.answered)
                    time.sleep(1)
            status.update(f"Round {number}: training and evaluating a challenger")
            run = retrying("a verdict", lambda: self._verdict(known))
            status.update(f"Round {number}: renewing ranks and prelabels of the window")
            retrying("the window", self._window_is_renewed)
        row = retrying("the figures of the round", lambda: self.measure.row(run))
        verdict = "promoted" if row["promoted"] else run.status
        self.console.print(f"Round {number}: {row['answers']} answers. [bold]{verdict}[/]: {row['reasons'][0]}")
        return row

    # -- the current state ----------------------------------------------------------------------------------------

    def _project(self) -> LoopProject | None:
        with self.database.transaction() as conn:
            project = projects.get(conn, self.spec.name)
        return project if project and project.project_id is not None else None

    def _counts(self) -> LoopCounts:
        with self.database.transaction() as conn:
            return figure_store.counts(conn, self.spec.name)

    def _finished_runs(self) -> list[RetrainRun]:
        with self.database.transaction() as conn:
            latest = runs.latest(conn, self.spec.name, 1000)
        return [run for run in latest if run.status not in ("queued", "running")]

    def _new_run(self, known: set[Any]) -> bool:
        with self.database.transaction() as conn:
            return any(run.id not in known for run in runs.latest(conn, self.spec.name, 5))

    def _verdict(self, known: set[Any]) -> RetrainRun | None:
        """Return the newest finished run that is not in `known`; request a run if none will start by itself."""
        with self.database.transaction() as conn:
            latest = [run for run in runs.latest(conn, self.spec.name, 5) if run.id not in known]
            if latest and all(run.status not in ("queued", "running") for run in latest):
                return latest[0]
            if not latest and new_answers.count(conn, self.spec.name) < self.spec.retrain.after:
                # The round has fewer answers: one task was served twice, or an answer could not be read.
                runs.request(conn, self.spec.name, "the demo's round is over")
                jobs.ask(conn, jobs.RETRAIN, self.spec.name)
        return None

    def _window_is_renewed(self) -> bool | None:
        with self.database.transaction() as conn:
            champion = version_store.champion(conn, self.spec.name)
            ranker = version_store.ranker(conn, self.spec.name)
            shown = VersionPair.of(None if champion is None else champion.id, ranker).name
            project = projects.get(conn, self.spec.name)
            stale = figure_store.stale_tasks(conn, self.spec.name, shown)
        return (project is not None and project.model_version == shown and stale == 0) or None

    def _report(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the figures once nothing is lost, or after SETTLE_S: after a crash, answers may arrive late."""
        until = time.monotonic() + SETTLE_S
        while True:
            shown = retrying(
                "the report", lambda: figures.report(self.database, self.gateway, self.spec, keys, self.given)
            )
            if not shown["lost"] or time.monotonic() > until:
                return shown
            time.sleep(1)

    # -- printing -------------------------------------------------------------------------------------------------

    def _print(self, shown: Mapping[str, Any], start: float) -> None:
        people = f"{self.options.people} simulated annotators" if self.options.people else "you"
        self.console.print()
        self.console.print(table(self.rounds, people))
        self.console.print(
            f"[dim]Random order: a replay with the same learner, number of answers and skill; mean of "
            f"{replay.ORDERS} orders.[/]\n{figures.verdict(self.rounds)}"
        )
        gate = shown["gate"]
        self.console.print(
            f"The gate: in {gate['near_best']} of {gate['rounds']} rounds what serves is within a point of the best "
            f"challenger so far, on the test set; {gate['harmful']} harmful promotions."
        )
        self.console.print(
            f"{shown['submitted']:,} submitted, {shown['passed']:,} passed, {shown['answered']:,} answered; "
            f"Label Studio has {shown['label_studio']['annotations']:,} annotations, Postgres "
            f"{shown['postgres']['annotations']:,}; lost {shown['lost']}, duplicated {shown['duplicated']}."
        )
        picture = self.settings.data_dir / f"demo-{self.spec.name}.png"
        draw(self.rounds, start, picture, f"labelloop demo, loop {self.spec.name}: {people}")
        self.console.print(f"Learning curve: {picture}")
        if self.options.json_file is not None:
            self.options.json_file.write_text(json.dumps(shown, indent=2) + "\n")
