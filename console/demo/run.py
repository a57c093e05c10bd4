"""The rounds of the demo: submit, let people answer, wait for the verdict, and write down what is true then."""

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
from console.demo.patience import patiently
from console.demo.people import Crew, Person
from console.demo.picture import draw, table
from console.local.people import sign_up
from console.local.start import find_loops_dir
from console.local.steps import Progress, silent
from console.local.up import Running, UpOptions, up
from labelloop.client import Client
from labelloop.errors import Conflict, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import figures as figure_store
from labelloop.store.questions.figures import LoopCounts
from labelloop.store.tables import jobs, projects, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import VersionPair

AT_REST_S = 30.0
"""What has not come by then is lost."""


def run(
    options: DemoOptions,
    up_options: UpOptions,
    console: Console | None = None,
    then: Callable[[Running], None] | None = None,
    progress: Progress = silent,
) -> None:
    """Run the demo; returns when it is over (`leave`), or on Ctrl-C. `then` is called while everything is still up."""
    # A log file has no width of its own; 118 is what the table takes.
    console = console or Console(width=None if sys.stdout.isatty() else 118, highlight=False)
    if options.json_file is not None and not options.json_file.absolute().parent.is_dir():
        raise UsageError(f"--json is {options.json_file}; there is no folder {options.json_file.absolute().parent}")
    items, spec = _prepare(options, find_loops_dir(up_options.loops_dir))
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
            console.print(f"\nEverything stays up: {running.settings.label_studio_url} (login above). Ctrl-C ends it.")
            running.wait(console.print)


def _prepare(options: DemoOptions, loops_dir: Path) -> tuple[Items, LoopSpec]:
    """The items, and the loop as the demo plays it: a retrain run after each round."""
    if options.loop not in ("digits", "tickets"):
        raise UsageError(f"--loop is {options.loop!r}; the demo has: digits, tickets (with --csv)")
    if (options.loop == "tickets") != (options.csv is not None) or (options.csv is None and options.text):
        raise UsageError("the loop tickets takes your own file: --csv FILE --text COLUMN --label COLUMN")
    spec = load(loops_dir / options.loop)
    spec = spec.model_copy(update={"retrain": spec.retrain.model_copy(update={"after": options.per_round})})
    if options.csv is None:
        return inputs.digits(options.seed), spec
    items = inputs.texts(
        options.csv, options.text, options.label, spec.config.data_fields[0], options.seed, options.encoding
    )
    if items.contradicted:
        said = f"{items.contradicted:,} texts of {options.csv} have two labels or more: the last one is taken as true"
        print(said, file=sys.stderr)
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
        """Answers that Label Studio said it has taken, in this run."""

    def close(self) -> None:
        self.crew.close()
        self.gateway.close()

    def play(self) -> None:
        keys, pipeline_labels = self._submit()
        start = replay.share_right(pipeline_labels, self.items)
        self.console.print(f"Its model has {start:.1%} of the test part right, which nobody is shown.")
        project = patiently("the project in Label Studio", self._project)
        self._hire(project.id)
        self.measure = Measure(self.items, self.spec, self.settings, self.database, pipeline_labels, self.options)
        self.console.print()
        for number in range(1, self.options.rounds + 1):
            self.rounds.append(self._round(number))
        self._tell(self._report(keys) | {"rounds": self.rounds}, start)

    # -- hops, as their users drive them -------------------------------------------------------------------------

    def _submit(self) -> tuple[list[str], list[str]]:
        """The keys, and the pipeline's labels for the test part."""
        outputs, test_labels = inputs.weak_outputs(self.items, self.options.seed)
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
        return [output.key for output in outputs], test_labels

    def _hire(self, project_id: int) -> None:
        if self.options.people == 0:
            url = f"{self.settings.label_studio_url}/projects/{project_id}/data"
            self.console.print(f"[bold]It is your turn:[/] open {url} and press Label All Tasks.")
            return
        invite = self.gateway.invite_url()
        truth = self.items.truth_of()
        ended = len(patiently("the runs", self._finished_runs))
        people = []
        for n in range(1, self.options.people + 1):
            email = f"simulated-{n}@demo.labelloop.local"
            session = sign_up(self.settings.label_studio_url, invite, email, f"{self.settings.hook_secret[:20]}-{n}")
            rng = random.Random(f"{self.options.seed}/{n}/{ended}")
            people.append(Person(email, session, project_id, self.spec.config, truth, self.options.skill, rng))
        self.crew = Crew(people)
        self.console.print(
            f"[bold]{len(people)} simulated people[/] (programs, not persons) work through Label Studio's next-task "
            f"stream; each gives the true label {self.options.skill:.0%} of the time."
        )

    def _round(self, number: int) -> dict[str, Any]:
        known = {run.id for run in patiently("the runs", self._finished_runs)}
        before = patiently("the counts", self._counts)
        with self.console.status("") as status:

            def progress(done: int, of: int = self.options.per_round) -> None:
                status.update(f"Round {number}: {done} of {of} answers")

            if self.crew.people:
                given = self.crew.work(self.options.per_round, progress)
                self.given += given
                if given < self.options.per_round:
                    self.console.print(f"Round {number}: Label Studio had only {given} tasks left to serve.")
                status.update(f"Round {number}: waiting for {given} answers to arrive in Postgres")
                # Not by outputs: on SQLite Label Studio now and then serves one task to two people.
                wanted = before.feedback + given
                patiently("the answers in Postgres", lambda: self._counts().feedback >= wanted or None)
            else:
                while not patiently("the runs", lambda: self._new_run(known)):
                    progress(patiently("the counts", self._counts).answered - before.answered)
                    time.sleep(1)
            status.update(f"Round {number}: a challenger is trained and judged")
            run = patiently("a verdict", lambda: self._verdict(known))
            status.update(f"Round {number}: the window is ranked and prelabelled anew")
            patiently("the window", self._window_is_renewed)
        row = patiently("the figures of the round", lambda: self.measure.row(run))
        verdict = "promoted" if row["promoted"] else run.status
        self.console.print(f"Round {number}: {row['answers']} answers. [bold]{verdict}[/]: {row['reasons'][0]}")
        return row

    # -- what is true now ----------------------------------------------------------------------------------------

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
        """The newest run that was not there before and has ended; a run is asked for where none comes by itself."""
        with self.database.transaction() as conn:
            latest = [run for run in runs.latest(conn, self.spec.name, 5) if run.id not in known]
            if latest and all(run.status not in ("queued", "running") for run in latest):
                return latest[0]
            if not latest and runs.new_answers(conn, self.spec.name) < self.spec.retrain.after:
                # A task that was served twice, or an answer nobody could read: the round has an answer less.
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
        """What is true when all is at rest: after a crash an answer may come with the next look, seconds later."""
        until = time.monotonic() + AT_REST_S
        while True:
            shown = patiently(
                "the report", lambda: figures.report(self.database, self.gateway, self.spec, keys, self.given)
            )
            if not shown["lost"] or time.monotonic() > until:
                return shown
            time.sleep(1)

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
