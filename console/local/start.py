"""One start of everything: Postgres, our tables, Label Studio, sync and its worker, backend and its worker."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from console.local import environment, ports, roles
from console.local.label_studio import LabelStudio, database_for
from console.local.leftovers import mark
from console.local.options import UpOptions
from console.local.places import write_secret
from console.local.postgres import Command, Postgres
from console.local.services import BACKEND, SYNC, gunicorn
from console.local.steps import Announce, Steps, Tick
from console.local.supervisor import ROOT, Supervisor, python_env
from labelloop.access.identity import SCOPES
from labelloop.errors import LabelloopError, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.process import rooms
from labelloop.process.settings import FILE, Settings
from labelloop.spec.folder import load_all
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.tables import access, loops

OWNER = "owner"
"""Name of the first token of the review pages; decisions made with it are signed by this name."""
EXAMPLES = ROOT / "labeling_configs"
"""The loops of the installation. Outside of a checkout they are the demo's, and no folder of the user."""
IS_CHECKOUT = (ROOT / "pyproject.toml").is_file()
SQLITE_GRACE_S = 3600.0
"""On SQLite, Label Studio retries a locked import by itself, up to this long after its reply was lost."""


class Start:
    """One start: each service after the other, under `supervisor`."""

    def __init__(
        self,
        options: UpOptions,
        data_dir: Path,
        supervisor: Supervisor,
        reserved: ports.Reserved,
        announce: Announce,
        tick: Tick,
    ) -> None:
        self._options = options
        self._data_dir = data_dir
        self._supervisor = supervisor
        self._reserved = reserved
        own = self._own()
        self._installs = "label-studio" in own and environment.find_python() is None
        # Postgres, its tables, our services; for an embedded Label Studio also its tables and its server.
        self._steps = Steps(announce, tick, 3 + 2 * ("label-studio" in own) + self._installs)
        self._ports: dict[str, int] = {}
        self._choose_ports(*own)  # reports a busy port of the user before anything starts

    def everything(self) -> tuple[Settings, list[str]]:
        """Start all services that are not the user's own. Return the settings and the names of the loops."""
        given = {**self._options.environ, "LABELLOOP_DATA_DIR": str(self._data_dir)}
        settings = Settings.from_env(given)
        settings = replace(
            settings,
            loops_dir=find_loops_dir(self._options.loops_dir, settings.loops_dir),
            intake_token=settings.intake_token or secrets.token_urlsafe(24),
            hook_secret=settings.hook_secret or secrets.token_urlsafe(24),
            backend_password=settings.backend_password or secrets.token_urlsafe(24),
            secret_key=settings.secret_key or secrets.token_urlsafe(32),
            review_token=settings.review_token or secrets.token_urlsafe(32),
        )
        if self._installs:
            self._install()
        self._steps.begin("starting Postgres")
        self._supervisor.start()
        owner_url, database_url = self._postgres()
        settings = replace(settings, owner_url=owner_url, database_url=database_url)
        self._steps.begin("updating labelloop's tables")
        made = migrate(owner_url, database_url)
        self._steps.done(f"labelloop's tables are {'updated' if made else 'up to date'}")
        settings = self._label_studio(settings, grace_is_given="LABELLOOP_PUSH_GRACE_S" in given)
        self._choose_ports("sync", "backend")
        settings = replace(
            settings,
            sync_url=given.get("LABELLOOP_SYNC_URL") or self._at("sync"),
            backend_url=given.get("LABELLOOP_BACKEND_URL") or self._at("backend"),
        )
        write_secret(self._data_dir / FILE, "".join(f"{k}={v}\n" for k, v in settings.to_env().items()))
        with Database(settings.database_url, actor="labelloop up") as database:
            names = _register(database, self._options.specs or self._load(settings.loops_dir), self._steps.announce)
            with database.transaction() as conn:
                access.ensure(conn, OWNER, settings.review_token, SCOPES)
            self._rooms(settings, database)
        return settings, names

    def _install(self) -> None:
        """Install Label Studio into an environment of its own, which all data folders of this user share."""
        place = environment.place()
        self._steps.announce(f"installing Label Studio in {place}: once, a few minutes, 0.9 GB")
        environment.make(self._steps.begin("installing Label Studio"))
        self._steps.done("Label Studio is installed")

    def _load(self, loops_dir: Path) -> list[LoopSpec]:
        """Load the loops of the folder. A loop with an error is announced and keeps its earlier registration.

        Raises the first SpecError if no loop can be loaded.
        """
        specs, faults = load_all(loops_dir)
        if faults and not specs:
            raise faults[0]
        for fault in faults:
            self._steps.announce(f"NOT REGISTERED, correct it and run `labelloop migrate`: {fault}")
        return specs

    def _own(self) -> list[str]:
        own = ["sync", "backend"]
        if not self._options.database_url:
            own.insert(0, "postgres")
        if not self._options.label_studio_url:
            own.append("label-studio")
        elif not self._options.label_studio_token:
            raise UsageError("--label-studio-url needs --label-studio-token, a personal or legacy token of that server")
        return own

    def _choose_ports(self, *names: str) -> None:
        """Choose the ports. Called again before each service starts, because earlier steps may take a minute."""
        file, base = self._data_dir / ports.FILE, self._options.port_base
        self._ports |= ports.choose(file, names, base, self._steps.announce, self._reserved)

    def _up(self, name: str, answers: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until the service answers, and until our own process listens on its port."""
        self._supervisor.until(lambda: self._supervisor.listens(name, self._ports[name]) and answers(), seconds, name)

    def _at(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def _postgres(self) -> tuple[str, str]:
        """Return the URLs of the database for its owner and for the application."""
        if self._options.database_url:
            try:
                psycopg.connect(self._options.database_url, connect_timeout=10).close()
            except psycopg.Error as exc:
                raise UsageError(f"cannot connect to the Postgres of --database-url: {exc}") from exc
            self._steps.done("your Postgres answers")
            owner_url = self._options.environ.get("LABELLOOP_OWNER_URL") or self._options.database_url
            return owner_url, self._options.database_url
        server = Postgres(self._data_dir / "postgres", port=self._ports["postgres"], kind=self._options.postgres)
        server.prepare()
        self._supervisor.add("postgres", server.command(), stop_signal=signal.SIGINT)
        self._up("postgres", server.is_up)
        programs = "of this system" if server.binaries.kind == "system" else "of a wheel"
        self._steps.done(f"Postgres {server.binaries.version} {programs} is up")
        owner_url = server.create_database("labelloop")
        return owner_url, roles.application(owner_url, self._data_dir / "postgres")

    def _label_studio(self, settings: Settings, *, grace_is_given: bool) -> Settings:
        if self._options.label_studio_url:
            url = self._options.label_studio_url.rstrip("/")
            try:
                Gateway(url, self._options.label_studio_token).whoami()
            except (httpx.InvalidURL, LabelloopError) as exc:
                raise UsageError(f"cannot use the Label Studio at {url} with this token: {exc}") from exc
            return replace(
                settings,
                label_studio_url=url,
                label_studio_token=self._options.label_studio_token,
                label_studio_user="",
                label_studio_password="",
            )
        name = urlsplit(settings.database_url).path.strip("/") + "_label_studio"
        url = database_for(settings.owner_url, name)
        if not url:
            self._steps.announce(
                "Label Studio keeps its own SQLite: this Postgres lacks pg_trgm and btree_gin, or allows no new "
                "database. Enough for one annotator. For more, install the system's `postgresql` and a new folder"
            )
        server = LabelStudio(
            self._data_dir / "label-studio",
            database_url=url,
            extra_env=mark(self._data_dir),
        )
        tables = "are up to date"
        if not server.is_prepared():
            made_so_far = self._steps.begin("creating Label Studio's tables (once)")
            server.prepare(made_so_far)
            tables = "and its administrator are created"
        self._steps.done(f"Label Studio's tables {tables}")
        self._steps.begin("starting Label Studio")
        self._choose_ports("label-studio")
        server.port = self._ports["label-studio"]
        self._supervisor.add("label-studio", server.command())
        self._up("label-studio", server.is_up, 180)
        self._steps.done(f"Label Studio is up at {server.url}")
        grace = settings.push_grace_s if grace_is_given else Settings().push_grace_s if url else SQLITE_GRACE_S
        return replace(
            settings,
            label_studio_url=server.url,
            label_studio_token=server.account.token,
            label_studio_user=server.account.email,
            label_studio_password=server.account.password,
            push_grace_s=grace,
        )

    def _rooms(self, settings: Settings, database: Database) -> None:
        self._steps.begin("starting sync, backend and their workers")
        env = python_env() | replace(settings, owner_url="").to_env()  # no service needs the owner's rights
        del env["LABELLOOP_LABEL_STUDIO_TOKEN"]  # read from settings.env instead, where it may be replaced later

        def run(name: str, *words: str, **more: str) -> None:
            self._supervisor.add(name, Command(rooms.python(*words), str(ROOT), env | more))

        shared = self._data_dir / "metrics"  # the two processes of sync share their metrics
        shutil.rmtree(shared, ignore_errors=True)
        run("sync", *gunicorn(SYNC, f"127.0.0.1:{self._ports['sync']}"), PROMETHEUS_MULTIPROC_DIR=str(shared))
        run("backend", *gunicorn(BACKEND, f"127.0.0.1:{self._ports['backend']}"))
        auth = (settings.backend_user, settings.backend_password)
        self._up("sync", lambda: _answers(self._at("sync") + "/healthz"))
        self._up("backend", lambda: _answers(self._at("backend") + "/health", auth))
        last = _last_worker(database)
        run("sync-worker", "sync.worker")
        run("backend-worker", "backend.worker")
        self._supervisor.until(lambda: _last_worker(database) >= last + 2, 60, "sync-worker", "backend-worker")
        self._steps.done("sync, backend and their workers are up")


def _answers(url: str, auth: tuple[str, str] | None = None) -> bool:
    try:
        return httpx.get(url, auth=auth, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _last_worker(database: Database) -> int:
    """Return the highest id of a worker registered with the job queue."""
    with database.transaction() as conn:
        row = conn.execute("select coalesce(max(id), 0) as id from procrastinate_workers").fetchone()
    return int(row["id"]) if row else 0


def find_loops_dir(given: Path | None, earlier: Path | None = None) -> Path:
    """Return the given folder, else `labeling_configs` here if there is one, else the folder of the `earlier` start,
    else the one here that `labelloop init` will make.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(f"there is no folder {given}")
        return given.absolute()
    here = Path("labeling_configs").absolute()
    if here.is_dir() or earlier is None or not earlier.is_dir() or (earlier == EXAMPLES and not IS_CHECKOUT):
        return here
    return earlier.absolute()


def _register(database: Database, specs: Sequence[LoopSpec], announce: Announce) -> list[str]:
    """Register the loops in the database. Return the names of those that are not archived."""
    with database.transaction() as conn:
        for spec in specs:
            loops.register(conn, spec)
        resting = loops.resting(conn)
    for spec in specs:
        if spec.name in resting:
            announce(f"loop {spec.name!r} was {resting[spec.name]}: `labelloop loop restore {spec.name}` restores it")
    return [spec.name for spec in specs if spec.name not in resting]
