"""Submit by five people: with all of labelloop connected, training or not, against the same tasks without labelloop.

Each of them answers every three seconds. Three sides in turn, in short blocks, since other work on the machine comes
and goes. Beside the time of a click: the processor seconds of Label Studio, Postgres and our processes, and the
requests that labelloop sends, for each Submit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from uuid import uuid4

import click
import httpx

from benchmarks.push import Batches, Noting
from benchmarks.support import counting, training
from benchmarks.support.counting import Cpu
from benchmarks.support.goals import (
    QUIET_CPU,
    QUIET_P50,
    QUIET_P95,
    SUBMIT_ARRIVES,
    SUBMIT_CPU,
    SUBMIT_DRY,
    SUBMIT_P50,
    SUBMIT_P95,
    Goal,
    Measured,
)
from benchmarks.support.items import digits_loop
from benchmarks.support.rooms import House, Servers, house, wait_until
from benchmarks.support.turns import percentile, ratios
from console.local.people import sign_up
from console.local.services import BACKEND, SYNC
from labelloop.errors import Failed
from labelloop.labeling import results
from labelloop.labelstudio.gateway import Gateway
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Queue, Retrain
from sync.project.project import SAMPLING, ensure_project
from sync.push.push import push

LOOP = "submitted"
PEOPLE = 5
PACE_S = 3.0
"""Between two answers of one person."""
MOST_DRY = 200
"""Times that one person asks for a task in vain before the benchmark ends."""
NO_RUNS = Retrain(after=100_000, drift=False, on_new_label=False)
"""The answers of the benchmark itself ask for no training."""
SETTLES_S = 3.0
"""After a start the worker looks at everything once; that is no annotator's day."""
LATE = """
    select extract(epoch from a.resolved_at - v.updated_at)::float8 as s
    from answers a join annotation_versions v on v.output_id = a.output_id where a.loop = %(loop)s order by a.seq
"""
SIDES = ("bare", "quiet", "training")
OURS = ("sync service", "sync worker", "backend service", "backend worker and its training")
METERS = ("Label Studio", "Postgres", *OURS)


@dataclass(frozen=True, slots=True)
class Block:
    """One side's turn."""

    times: Sequence[float]
    """Seconds of each Submit."""
    dry: int
    """Times that somebody was served no task."""
    cpu: Cpu
    """Processor seconds a Submit, by process; what is left to do after the last one is in it."""
    requests: Mapping[str, float]
    """Requests of labelloop to Label Studio a Submit, by method and path."""


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (10, 1) if quick else (40, 4)
    seen: Counter[str] = Counter()
    with (
        house(servers) as whole,
        servers.http() as web,
        _people(servers) as people,
        counting.counted(servers.label_studio, seen) as url,
    ):
        our = replace(whole, settings=replace(whole.settings, label_studio_url=url))
        with our.database.transaction() as conn:
            spec = digits_loop(conn, LOOP, 3 * n * (repeats + 1), 0, queue=Queue(), retrain=NO_RUNS)
        training.prepare(our)
        try:
            batches = _push(our, spec)
            connected, alone = our.project_id(LOOP), _bare_project(web, spec, batches, n * (repeats + 1))
            bench = _Bench(our, people, spec, seen, {"bare": alone, "quiet": connected, "training": connected}, n)
            for side in SIDES:
                bench.block(side)  # not counted: everything is loaded, and cached, afterwards
            blocks: dict[str, list[Block]] = {side: [] for side in SIDES}
            for i in range(repeats):
                for side in SIDES[i % 3 :] + SIDES[: i % 3]:
                    blocks[side].append(block := bench.block(side))
                    click.echo(f"{side}: {percentile(block.times, 0.5):.3f} s, {dict(block.cpu)}", err=True)
            with our.database.transaction() as conn:
                late = [row["s"] for row in conn.execute(LATE, {"loop": LOOP})]
            servers.remove_project(web, alone)
        finally:
            our.remove_projects(web)
        trained = f"; {training.runs_done(our)} training runs ended meanwhile"
    bare = blocks["bare"]
    return [
        _times(SUBMIT_P50, 0.5, blocks["training"], bare, trained),
        _times(SUBMIT_P95, 0.95, blocks["training"], bare, trained),
        _times(QUIET_P50, 0.5, blocks["quiet"], bare),
        _times(QUIET_P95, 0.95, blocks["quiet"], bare),
        _cpu(SUBMIT_CPU, blocks["training"], bare),
        _cpu(QUIET_CPU, blocks["quiet"], bare),
        Measured(SUBMIT_ARRIVES, [max(late)], f"of {len(late)} answers; the median {median(late):.1f} s"),
        Measured(SUBMIT_DRY, [sum(block.dry for side in SIDES[1:] for block in blocks[side])], f"of {len(late)} asked"),
    ]


@contextmanager
def _people(servers: Servers) -> Iterator[list[httpx.Client]]:
    """Their sessions, each of an account of its own."""
    with ExitStack() as stack:
        gateway = stack.enter_context(closing(Gateway(servers.label_studio, servers.token)))
        invite, password = gateway.invite_url(), uuid4().hex
        emails = [f"person-{i}-{uuid4().hex[:8]}@benchmark.example.org" for i in range(PEOPLE)]
        yield [stack.enter_context(closing(sign_up(servers.label_studio, invite, email, password))) for email in emails]


def _push(our: House, spec: LoopSpec) -> Batches:
    """Fill the window, with everything of labelloop connected to the project; what was sent."""
    gateway = Noting(our.settings.label_studio_url, our.settings.label_studio_token)
    with our.serving(BACKEND, our.settings.backend_url):  # Label Studio looks for it
        ensure_project(our.database, gateway, spec, our.settings)
    push(our.database, gateway, spec, our.settings)
    gateway.close()
    return gateway.batches


def _bare_project(web: httpx.Client, spec: LoopSpec, batches: Batches, n: int) -> int:
    """Tasks like those of the window, at least `n`, in a project that nothing is connected to."""
    fields = {
        "title": "bare submit", "label_config": spec.labels_xml, "sampling": SAMPLING, "maximum_annotations": 1,
        "show_collab_predictions": True,
    }  # fmt: skip
    project_id = int(web.post("/api/projects/", json=fields).raise_for_status().json()["id"])
    for _ in range(1 + n // sum(map(len, batches))):
        for batch in batches:
            web.post(f"/api/projects/{project_id}/import", json=batch).raise_for_status()
    version = batches[0][0]["predictions"][0]["model_version"]
    web.patch(f"/api/projects/{project_id}/", json={"model_version": version}).raise_for_status()
    return project_id


@dataclass(frozen=True, slots=True)
class _Bench:
    our: House
    people: Sequence[httpx.Client]
    spec: LoopSpec
    seen: Counter[str]
    projects: Mapping[str, int]
    n: int

    def block(self, side: str) -> Block:
        """One turn: bare, or with every process of labelloop up, with a training run going on or without."""
        servers = self.our.servers
        meters = {
            "Label Studio": counting.label_studio(servers.label_studio),
            "Postgres": counting.postgres(servers.postgres),
        }
        before = self._arrived()
        with ExitStack() as stack:
            if side != "bare":
                up = [
                    stack.enter_context(self.our.serving(SYNC, self.our.settings.sync_url)),
                    stack.enter_context(self.our.working("sync.worker")),
                    stack.enter_context(self.our.serving(BACKEND, self.our.settings.backend_url)),
                    stack.enter_context(
                        training.training(self.our) if side == "training" else self.our.working("backend.worker")
                    ),
                ]
                meters |= {
                    name: partial(counting.with_children, process) for name, process in zip(OURS, up, strict=True)
                }
                time.sleep(SETTLES_S)
            asked, began = Counter(self.seen), counting.read(meters)
            times, dry = self._work(self.projects[side])
            if side != "bare":
                wait_until(lambda: self._arrived() == before + self.n, what="the last answer")
            ended = counting.read(meters)
            sent = Counter(self.seen) - asked
        return Block(
            times,
            dry,
            {name: (ended[name] - began[name]) / self.n for name in meters},
            {name: count / self.n for name, count in sent.items()},
        )

    def _work(self, project_id: int) -> tuple[list[float], int]:
        """All of them, evenly spread over the pace of one. Raises where the window stays dry."""

        def one(i: int) -> tuple[list[float], int]:
            return _answer(self.people[i], project_id, self.spec, self.n // PEOPLE, (i + 1) * PACE_S / PEOPLE)

        with ThreadPoolExecutor(PEOPLE) as threads:
            done = list(threads.map(one, range(PEOPLE)))
        return [s for times, _ in done for s in times], sum(dry for _, dry in done)

    def _arrived(self) -> int:
        with self.our.database.transaction() as conn:
            row = conn.execute("select count(*) as n from answers where loop = %(loop)s", {"loop": LOOP}).fetchone()
        return int(row["n"]) if row else 0


def _answer(web: httpx.Client, project_id: int, spec: LoopSpec, n: int, begins_s: float) -> tuple[list[float], int]:
    """One person gives `n` answers, the first after `begins_s`: seconds of each Submit; how often there was no task."""
    times: list[float] = []
    dry, due = 0, time.perf_counter() + begins_s
    while len(times) < n:
        served = web.post(f"/api/dm/actions/?id=next_task&project={project_id}", json={"project": project_id})
        if served.status_code == 404:
            dry += 1
            if dry > MOST_DRY:
                raise Failed(f"the project {project_id} has had no task for too long")
            time.sleep(PACE_S / 10)
            continue
        task = served.raise_for_status().json()
        prediction = task["predictions"][0] if task["predictions"] else None
        regions = prediction["result"] if prediction else results.encode(spec.config, spec.labels[0], None)
        answer = {
            "result": [{**region, "id": uuid4().hex[:10]} for region in regions],
            "lead_time": 2.0,
            "parent_prediction": prediction and prediction["id"],
            "unique_id": str(uuid4()),
            "project": str(project_id),
        }
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        web.post(f"/api/tasks/{task['id']}/annotations/?project={project_id}", json=answer).raise_for_status()
        times.append(time.perf_counter() - began)
        due = began + PACE_S
    return times, dry


def _times(goal: Goal, share: float, ours: Sequence[Block], bare: Sequence[Block], more: str = "") -> Measured:
    """One ratio a repeat, of the percentile `share`."""
    own, peer = ([percentile(block.times, share) for block in blocks] for blocks in (ours, bare))
    said = f"{median(own) * 1000:.0f} ms, bare {median(peer) * 1000:.0f} ms; {len(ours[0].times)} submits a repeat"
    return Measured(goal, ratios(own, peer), said + more)


def _cpu(goal: Goal, ours: Sequence[Block], bare: Sequence[Block]) -> Measured:
    """One ratio a repeat; the facts are medians a Submit, by process, and the requests behind them."""
    own, peer = ([block.cpu["Label Studio"] for block in blocks] for blocks in (ours, bare))
    spent = [
        f"{name} {_ms(ours, name)}" + (f" (bare {_ms(bare, name)})" if name in bare[0].cpu else "") for name in METERS
    ]
    sent = sorted({path for block in ours for path in block.requests})
    requests = {path: median(block.requests.get(path, 0.0) for block in ours) for path in sent}
    total = median(sum(block.requests.values()) for block in ours)
    most = sorted(requests.items(), key=lambda item: -item[1])[:6]
    asked = ", ".join(f"{path} {count:.2f}" for path, count in most if count)
    return Measured(goal, ratios(own, peer), f"{', '.join(spent)}; {total:.2f} requests of ours: {asked}")


def _ms(blocks: Sequence[Block], name: str) -> str:
    return f"{median(block.cpu[name] for block in blocks) * 1000:.0f} ms"
