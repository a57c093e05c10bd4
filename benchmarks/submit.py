"""Submit by an annotator: with all of labelloop connected and training, against the same tasks without labelloop."""

from __future__ import annotations

import time
from statistics import median
from uuid import uuid4

import httpx

from benchmarks import training
from benchmarks.goals import SUBMIT_P50, SUBMIT_P95, Goal, Measured
from benchmarks.items import digits_loop
from benchmarks.push import Batches, Noting
from benchmarks.rooms import House, Servers, house, wait_until
from benchmarks.turns import in_turn, percentile, ratios
from labelloop import results
from labelloop.local.services import BACKEND, SYNC
from labelloop.sections import Queue
from labelloop.spec import LoopSpec
from sync.project import SAMPLING, ensure_project
from sync.push import push

LOOP = "submitted"
THINKS_S = 0.2
"""Between being served a task and answering it: quicker than any person."""
SETTLES_S = 3.0
"""After a start the worker looks at everything once; that is no annotator's day."""
Times = list[float]


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (10, 1) if quick else (30, 4)
    with house(servers) as our, servers.http() as web:
        with our.database.transaction() as conn:
            spec = digits_loop(conn, LOOP, 1_000, 0, queue=Queue(window=200))
        training.prepare(our)
        try:
            batches = _push(our, spec)
            connected, alone = our.project_id(LOOP), _bare_project(web, spec, batches)
            _answer(web, alone, spec, 5)
            ours, bare = in_turn(
                repeats,
                lambda: _answer_connected(our, web, connected, spec, n),
                lambda: _answer(web, alone, spec, n),
            )
            servers.remove_project(web, alone)
        finally:
            our.remove_projects(web)
        facts = f"{n} submits a repeat; {training.runs_done(our)} training runs were finished meanwhile"
    return [_compared(SUBMIT_P50, 0.5, ours, bare, facts), _compared(SUBMIT_P95, 0.95, ours, bare, facts)]


def _push(our: House, spec: LoopSpec) -> Batches:
    """Fill the window, with everything of labelloop connected to the project; what was sent."""
    gateway = Noting(our.settings.label_studio_url, our.settings.label_studio_token)
    with our.serving(BACKEND, our.settings.backend_url):  # Label Studio looks for it
        ensure_project(our.database, gateway, spec, our.settings)
    push(our.database, gateway, spec, our.settings)
    gateway.close()
    return gateway.batches


def _bare_project(web: httpx.Client, spec: LoopSpec, batches: Batches) -> int:
    """The same tasks in the same order, in a project that nothing is connected to."""
    fields = {
        "title": "bare submit", "label_config": spec.labels_xml, "sampling": SAMPLING, "maximum_annotations": 1,
        "show_collab_predictions": True,
    }  # fmt: skip
    project_id = int(web.post("/api/projects/", json=fields).raise_for_status().json()["id"])
    for batch in batches:
        web.post(f"/api/projects/{project_id}/import", json=batch).raise_for_status()
    version = batches[0][0]["predictions"][0]["model_version"]
    web.patch(f"/api/projects/{project_id}/", json={"model_version": version}).raise_for_status()
    return project_id


def _answer_connected(our: House, web: httpx.Client, project_id: int, spec: LoopSpec, n: int) -> Times:
    """As `_answer`, with every process of labelloop up and a training run going on."""
    before = _arrived(our)
    with (
        our.serving(SYNC, our.settings.sync_url),
        our.serving(BACKEND, our.settings.backend_url),
        our.working("sync.worker"),
        training.training(our),
    ):
        time.sleep(SETTLES_S)
        times = _answer(web, project_id, spec, n)
        wait_until(lambda: _arrived(our) == before + n, what="the last answer")
    return times


def _answer(web: httpx.Client, project_id: int, spec: LoopSpec, n: int) -> Times:
    """Seconds of each submit, of `n` tasks that the stream serves one after the other."""
    times = []
    for _ in range(n):
        served = web.post(f"/api/dm/actions/?id=next_task&project={project_id}", json={"project": project_id})
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
        time.sleep(THINKS_S)
        began = time.perf_counter()
        web.post(f"/api/tasks/{task['id']}/annotations/?project={project_id}", json=answer).raise_for_status()
        times.append(time.perf_counter() - began)
    return times


def _arrived(our: House) -> int:
    with our.database.transaction() as conn:
        row = conn.execute("select count(*) as n from answers where loop = %(loop)s", {"loop": LOOP}).fetchone()
    return int(row["n"]) if row else 0


def _compared(goal: Goal, share: float, ours: list[Times], bare: list[Times], facts: str) -> Measured:
    """One ratio a repeat, of the percentile `share`."""
    own, peer = [percentile(a, share) for a in ours], [percentile(b, share) for b in bare]
    said = f"{median(own) * 1000:.0f} ms, bare {median(peer) * 1000:.0f} ms; {facts}"
    return Measured(goal, ratios(own, peer), said)
