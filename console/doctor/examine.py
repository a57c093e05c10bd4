"""Run every check, one after the other: gather the facts, then decide. Nothing is changed anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import psycopg

from backend.report.estimates.assigned import without_people
from backend.report.estimates.opinions import skipped_by_all, waiting_for_nobody
from console.doctor import answers, calls, files, gather, media, order, project, restored, server, services, tasks, work
from console.doctor.findings import Finding, Level, good, unseen
from console.doctor.record import record
from labelloop.answers.unreadable import empty_is_an_answer
from labelloop.errors import Failed, LabelloopError, Refused, UsageError
from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.inspection import Inspection
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId
from labelloop.spec.loop import LoopSpec
from labelloop.store import budget
from labelloop.store.alerts import faulty
from labelloop.store.alerts import rows as alerts
from labelloop.store.callbacks import registered
from labelloop.store.database import Conn
from labelloop.store.media import holding
from labelloop.store.migrate import behind
from labelloop.store.pipelines import outbox
from labelloop.store.questions import health
from labelloop.store.tables import loops, pool, projects, unreadable
from sync.project.project import ML_TITLE, check_is_ours, hook_path

AGAIN_S = 2.0
"""Seconds between two looks at the order; a fault counts only if both find it, because a push may be in progress."""
Clocks = dict[str, tuple[float, float]]


def examine(
    settings: Settings, loop: str | None = None, *, label_studio_database: str = "", again_s: float = AGAIN_S
) -> list[Finding]:
    """Return all findings about all loops, or about one. Raises UsageError for a missing setting or an unknown loop."""
    settings.require("database_url", "label_studio_url", "label_studio_token")
    found: list[Finding] = []
    clocks: Clocks = {}
    conn = _enter(settings, found)
    studio = _open(settings, found, clocks)
    try:
        specs: list[LoopSpec] = []
        if conn is not None:
            found += _postgres(conn, settings, clocks)
            specs = _specs(conn, loop, found)
        found.append(files.files(settings.loops_dir, loop, {spec.name for spec in specs}))
        if clocks:
            found.append(server.clocks(clocks))
        found += _services(settings, specs)
        if conn is not None and studio is not None and specs:
            standing: list[Project] = []
            for spec in specs:
                found += _loop(conn, studio, settings, spec, standing, label_studio_database, again_s)
            found.append(_try("database", partial(_database, studio, standing)))
    finally:
        if studio is not None:
            studio.close()
        if conn is not None:
            conn.close()
    return found


# -- Postgres ----------------------------------------------------------------------------------------------------------


def _enter(settings: Settings, found: list[Finding]) -> Conn | None:
    try:
        conn = gather.connect(settings.database_url)
    except psycopg.Error as exc:
        message = _line(exc)
        if "too many connections" in message or "remaining connection slots" in message:
            found.append(work.full(message))
        else:
            found.append(unseen("postgres", message, "start Postgres; or set LABELLOOP_DATABASE_URL"))
        return None
    found.append(good("postgres", f"{conn.info.parameter_status('server_version')} at {conn.info.host}"))
    return conn


def _postgres(conn: Conn, settings: Settings, clocks: Clocks) -> Iterator[Finding]:
    def connections() -> Finding:
        before = time.time()
        row = health.server(conn)
        clocks["Postgres"] = gather.postgres_clock(row.clock, before, time.time())
        return work.connections(row)

    yield _try("schema", lambda: work.schema(behind(conn)))
    yield _try("connections", connections)
    yield _try("workers", lambda: work.workers(health.workers(conn), health.heartbeats(conn), settings.heartbeat_s))
    yield _try("jobs", lambda: work.stuck(health.jobs(conn), settings.heartbeat_s))
    yield _try("callbacks", lambda: work.callbacks(registered.list_(conn), registered.counts(conn)))
    yield _try("outbox", lambda: work.outbox(outbox.counts(conn), outbox.refused(conn, None, 1)))
    yield _try("record", lambda: record(conn))
    yield _try("forget", lambda: work.removals(health.unfinished_removals(conn)))


def _specs(conn: Conn, loop: str | None, found: list[Finding]) -> list[LoopSpec]:
    try:
        names = loops.names(conn)
        if loop is not None and loop not in names:
            raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
        specs = [loops.get(conn, name) for name in names if loop in (None, name)]
    except psycopg.Error as exc:
        found.append(unseen("loops", _line(exc)))
        return []
    if not names:
        found.append(unseen("loops", "no loop is registered", "labelloop migrate"))
    return [spec for spec in specs if spec is not None]


# -- Label Studio and our services -------------------------------------------------------------------------------------


def _open(settings: Settings, found: list[Finding], clocks: Clocks) -> Inspection | None:
    """Connect to Label Studio, and check the token and the version. None if it does not answer or refuses the token."""
    url = settings.label_studio_url
    studio = None
    try:
        studio = Inspection(url, settings.label_studio_token)
        version = studio.version()
        studio.whoami()
        clocks["Label Studio"] = studio.clock()
    except (LabelloopError, httpx.InvalidURL) as exc:
        if studio is not None:
            studio.close()
        refused = isinstance(exc, Refused) and exc.status == 401
        found.append(
            server.token_refused(settings.label_studio_token, str(exc))
            if refused
            else unseen("label studio", str(exc), "start Label Studio; or set LABELLOOP_LABEL_STUDIO_URL")
        )
        return None
    found += [good("label studio", f"answers at {url} and accepts the token"), server.version(version)]
    return studio


def _services(settings: Settings, specs: list[LoopSpec]) -> Iterator[Finding]:
    yield _try("intake", lambda: services.intake(gather.intake(settings), settings.sync_url))
    if settings.backend_password:
        yield _try("backend", lambda: services.backend(*gather.backend(settings), settings.backend_url))
    for name in [spec.name for spec in specs] if settings.hook_secret else []:
        yield _try("doorbell", partial(_doorbell, settings, name), name)


def _doorbell(settings: Settings, loop: str) -> Finding:
    return services.doorbell(gather.doorbell(settings, loop), gather.hook_url(settings, loop), loop)


def _database(studio: Inspection, standing: list[Project]) -> Finding:
    """Report Label Studio's database, from one of our projects; one with tasks causes no error in its log."""
    if not standing:
        return unseen("database", "unknown: no project exists whose API answers tell Label Studio's database")
    return server.database(studio.database(max(standing, key=lambda project: project.tasks)))


# -- one loop ----------------------------------------------------------------------------------------------------------


def _loop(
    conn: Conn,
    studio: Inspection,
    settings: Settings,
    spec: LoopSpec,
    all_standing: list[Project],
    members_at: str,
    again_s: float,
) -> Iterator[Finding]:
    """Yield the findings about one loop. Appends its project to `all_standing` if it exists."""
    name = spec.name
    row = projects.get(conn, name)
    if row is None or row.project_id is None:
        yield project.not_made(name)
        return
    try:
        standing = check_is_ours(studio, row)
    except Failed as exc:
        yield project.not_there(name, str(exc), gone=isinstance(exc.__cause__, Refused))
        return
    except LabelloopError as exc:
        yield unseen("project", str(exc), loop=name)
        return
    all_standing.append(standing)
    yield project.standing(name, standing.id)
    yield project.form(name, spec.labels_xml, standing.labels_xml, loops.forms(conn, name))
    yield _try("labels", lambda: project.labels_gone(name, health.with_labels_gone(conn, spec)), name)
    yield project.sampling(name, standing, spec.overlap)
    if (spent := budget.spent(conn, spec)) is not None:
        yield work.budget(name, spent, pool.waiting(conn, name, 1))
    yield answers.empty(name, standing.takes_empty, empty_is_an_answer(spec.config))
    yield _try("answers", lambda: answers.unreadable(name, unreadable.list_(conn, name)), name)
    yield _try("faulty tasks", lambda: answers.faulty(name, faulty.list_(conn, name)), name)
    yield _try("alerts", lambda: answers.alerts(name, alerts.open_counts(conn, name)), name)
    if spec.people is not None:
        yield _try("people", lambda: answers.people(name, without_people(conn, spec)), name)
    yield _try("opinions", lambda: answers.opinions(name, waiting_for_nobody(conn, spec)), name)
    yield _try("skipped", lambda: answers.skipped(name, skipped_by_all(conn, spec)), name)
    if spec.adjudicators:
        yield _try("adjudicators", lambda: answers.adjudicators(name, spec.adjudicators, studio), name)
    yield _try("refused outputs", lambda: answers.refused(name, health.refused(conn, name)), name)
    yield _try("held media", lambda: media.held_back(name, holding.why_held(conn, name)), name)
    yield from _webhook(studio, settings, name, standing.id)
    backends: list[calls.Backend] = []
    yield from _ml_backend(studio, settings, name, standing.id, backends)
    titles = [backend.title for backend in backends]
    ranking = list(_ranking(conn, studio, name, standing, titles))
    if any(finding.level is Level.FAULT for finding in ranking):
        time.sleep(again_s)
        ranking = list(_ranking(conn, studio, name, None, titles))
    yield from ranking
    yield from _tasks(conn, studio, name, row, again_s)
    yield _try("members", lambda: order.members(name, gather.members(settings, members_at, standing.id)), name)


def _ranking(
    conn: Conn, studio: Inspection, loop: str, standing: Project | None, titles: list[str]
) -> Iterator[Finding]:
    try:
        # Label Studio first: Postgres knows every state that Label Studio shows, at that moment or just after it.
        if standing is None:
            standing = studio.project(_row(conn, loop).id)
        served = studio.served(standing)
        version = _row(conn, loop).model_version
        ours = order.by_id(health.open_tasks(conn, loop))
    except (LabelloopError, psycopg.Error) as exc:
        yield unseen("order", _line(exc), loop=loop)
        return
    yield project.shown_version(loop, standing, version, titles)
    yield order.scores(loop, served, ours, version)
    yield order.order(loop, served, ours, version)


def _tasks(conn: Conn, studio: Inspection, loop: str, row: LoopProject, again_s: float) -> Iterator[Finding]:
    """Compare the tasks. A difference counts only if it is found twice: a push or a pull may be in progress."""
    try:
        if older := restored.restored(conn, studio, loop, row):
            yield from older
            return
        known, found = gather.tasks(conn, studio, loop, row)
        if found != tasks.Differences():
            time.sleep(again_s)
            known, again = gather.tasks(conn, studio, loop, row)
            found &= again
    except (LabelloopError, psycopg.Error) as exc:
        yield unseen("tasks", _line(exc), loop=loop)
        return
    yield from tasks.tasks(loop, found, known)


def _row(conn: Conn, loop: str) -> LoopProject:
    row = projects.get(conn, loop)
    assert row is not None  # only `loop remove` deletes it
    return row


def _webhook(studio: Inspection, settings: Settings, loop: str, project_id: ProjectId) -> Iterator[Finding]:
    wanted = gather.wanted_hook(settings, loop)
    path = hook_path(loop)
    yield _try("webhook", lambda: calls.webhook(loop, gather.hooks(studio, project_id), wanted, path), loop)
    if wanted is not None:
        url = wanted.url
        refused = partial(studio.refuses_webhook, project_id, url)
        yield _try("webhook address", lambda: calls.webhook_address(loop, url, refused()), loop)


def _ml_backend(
    studio: Inspection, settings: Settings, loop: str, project_id: ProjectId, backends: list[calls.Backend]
) -> Iterator[Finding]:
    """Fill `backends`, then check ours. Listed once, because Label Studio calls each backend to list them."""
    url = settings.backend_url.rstrip("/") if settings.backend_password else None

    def ml_backend() -> Finding:
        backends.extend(gather.backends(studio, project_id))
        return calls.ml_backend(loop, backends, ML_TITLE, url)

    yield _try("ml backend", ml_backend, loop)
    if url is not None:
        at = url
        yield _try("ml address", lambda: calls.ml_address(loop, at, studio.refuses_ml_backend(project_id, at)), loop)


def _try(check: str, do: Callable[[], Finding], loop: str | None = None) -> Finding:
    """Run one check; if it cannot run, return a finding that says so."""
    try:
        return do()
    except (LabelloopError, psycopg.Error, httpx.HTTPError, httpx.InvalidURL) as exc:
        return unseen(check, _line(exc), loop=loop)


def _line(exc: Exception) -> str:
    return " ".join(str(exc).split())
