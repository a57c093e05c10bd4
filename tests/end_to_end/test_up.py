"""`labelloop up` as its users run it: a process of its own with real children, once with Label Studio on Postgres and
once on SQLite with the wheel's Postgres. Both are started once; the tests of a start come before those that end it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from console.local.leftovers import left_behind
from console.local.people import sign_up
from console.local.places import SYSTEM_DATA_ROOT, is_free
from console.local.postgres import has_contrib
from console.local.supervisor import ROOT
from labelloop.errors import Failed
from tests.support.network.ports import free_base
from tests.support.workers.processes import sockets, words
from tests.support.workers.up import CHILDREN, Up, all_work, cli, down, lives, newest_worker, until

pytestmark = pytest.mark.timeout(400)
PATIENCE_S = 60
"""Time limit of a request; httpx's own 5 s are too few where two `up` and other tests are at work."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Up]]:
    folder = tmp_path_factory.mktemp("up")
    ups = {
        "postgres": Up(folder / "on-postgres", []),
        "sqlite": Up(folder / "on-sqlite", ["--postgres", "wheel", "--port-base", str(free_base())]),
    }
    for each in ups.values():
        each.start()
    try:
        for each in ups.values():
            each.ready()
        yield ups
    finally:
        ends = [down(each) for each in ups.values()]
    assert ends == [0, 0]


@pytest.fixture(params=["postgres", "sqlite"])
def running(request: pytest.FixtureRequest, both: dict[str, Up]) -> Up:
    return both[request.param]


@pytest.fixture
def on_postgres(both: dict[str, Up]) -> Up:
    return both["postgres"]


def test_everything_answers_and_the_loops_are_known(running: Up) -> None:
    print(f"up after {running.took_s:.0f} s")
    settings = running.settings
    with running.as_administrator as client:
        assert client.get("/api/current-user/whoami").json()["email"] == settings.label_studio_user
    assert httpx.get(settings.sync_url + "/healthz", timeout=PATIENCE_S).is_success
    until(lambda: httpx.get(settings.sync_url + "/readyz", timeout=PATIENCE_S).is_success, "ready")
    auth = (settings.backend_user, settings.backend_password)
    assert httpx.get(settings.backend_url + "/health", auth=auth, timeout=PATIENCE_S).is_success
    review = settings.backend_url + "/v1/review/overview"
    looked = httpx.get(review, headers={"Authorization": f"Bearer {settings.review_token}"}, timeout=PATIENCE_S)
    assert httpx.get(review, timeout=PATIENCE_S).status_code == 401
    with psycopg.connect(settings.database_url) as conn:
        names = {row[0] for row in conn.execute("select name from loops")}
    assert names == {file.parent.name for file in (ROOT / "labeling_configs").glob("*/loop.yaml")}
    assert {loop["loop"] for loop in looked.raise_for_status().json()["loops"]} == names


def test_the_doctor_can_look_at_everything_and_finds_no_fault(on_postgres: Up) -> None:
    words = cli("doctor", "--deep", "--json", "--data-dir", str(on_postgres.data_dir))

    def healthy() -> bool:
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
        bad = [one for one in json.loads(done.stdout)["findings"] if one["level"] in ("fault", "unseen")]
        return done.returncode == 0 and not bad

    until(healthy, "a doctor who finds nothing")


def test_label_studio_is_on_postgres_where_that_can_serve_it_and_else_says_so(running: Up) -> None:
    settings = running.settings
    with psycopg.connect(settings.database_url) as conn:
        found = conn.execute("select 1 from pg_database where datname = 'labelloop_label_studio'").fetchone()
    able = has_contrib(settings.database_url)
    assert (found is not None) == able
    assert (running.data_dir / "label-studio/label_studio.sqlite3").exists() != able
    assert ("keeps its own SQLite" in running.words.read_text()) != able
    assert settings.push_grace_s == (300 if able else 3600)


def test_nothing_listens_beyond_this_machine(running: Up) -> None:
    listening = [
        c.laddr.ip
        for process in left_behind(running.data_dir)
        for c in sockets(process)
        if c.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert set(listening) == {"127.0.0.1"}


def test_secrets_are_in_no_command_line_and_in_no_file_that_others_read(running: Up) -> None:
    settings = running.settings
    password = settings.database_url.split(":")[2].split("@")[0]
    secrets = (password, settings.label_studio_password, settings.label_studio_token, settings.intake_token,
               settings.hook_secret, settings.backend_password)  # fmt: skip
    said = [word for process in left_behind(running.data_dir) for word in words(process)]
    assert said
    assert all(len(secret) >= 20 for secret in secrets)
    assert not [word for word in said if any(secret in word for secret in secrets)]
    readable = [
        path
        for path in running.data_dir.iterdir()
        if path.is_file() and path.stat().st_mode & 0o077 and any(s in path.read_text() for s in secrets)
    ]
    assert readable == []


def test_the_terminal_has_a_line_for_each_step_and_no_log(running: Up) -> None:
    words = running.words.read_text()
    steps = [line for line in words.splitlines() if line[1:6] == " of 5"]
    assert [line[0] for line in steps[:5]] == list("12345")
    assert f"data is in {running.data_dir}" in words
    assert f"export LABELLOOP_DATA_DIR={running.data_dir}" in words
    assert len(words.splitlines()) < 40
    logs = {file.stem for file in (running.data_dir / "logs").glob("*.log")}
    assert logs >= set(CHILDREN)
    assert "queueing_lock" not in (running.data_dir / "logs/postgres.log").read_text()


def test_commands_find_the_newest_up_from_any_folder_and_say_which(both: dict[str, Up], tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("LABELLOOP_")} | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(
        cli("status", "--json"), cwd=tmp_path, env=env, check=True, capture_output=True, text=True, timeout=120
    )
    assert {row["loop"] for row in json.loads(said.stdout)} >= {"digits", "tickets"}
    assert any(f"using the last `labelloop up`, {each.data_dir}; 1 more" in said.stderr for each in both.values())


def test_anybody_with_the_link_from_invite_can_sign_up_until_it_is_reset(running: Up) -> None:
    def link(*options: str) -> str:
        words = cli("invite", *options, "--data-dir", str(running.data_dir))
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT, timeout=120).stdout.strip()

    first = link()
    url = running.settings.label_studio_url
    sign_up(url, first.removeprefix(url), "ada@example.org", "password-1").close()
    second = link("--reset")
    assert second != first
    assert link() == second
    with pytest.raises(Failed, match="creates an account"):
        sign_up(url, first.removeprefix(url), "bob@example.org", "password-1")
    sign_up(url, second.removeprefix(url), "bob@example.org", "password-1").close()


def test_sign_up_is_closed_and_label_studio_calls_this_machine_only(running: Up) -> None:
    settings = running.settings
    here = {"Referer": settings.label_studio_url}
    with httpx.Client(base_url=settings.label_studio_url, headers=here, timeout=PATIENCE_S) as stranger:
        page = stranger.get("/user/signup/").text
        secret = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        account = {"email": "stranger@example.org", "password": "password-1", "csrfmiddlewaretoken": secret}
        assert stranger.post("/user/signup/", data=account).status_code == 403
    with running.as_administrator as client:
        form = '<View><Text name="t" value="$x"/></View>'
        project = client.post("/api/projects/", json={"title": "addresses", "label_config": form}).json()["id"]

        def webhook(url: str) -> int:
            return client.post("/api/webhooks/", json={"url": url, "project": project}).status_code

        def ml_backend(url: str) -> int:
            return client.post("/api/ml/", json={"url": url, "project": project, "title": "x"}).status_code

        assert webhook("http://127.0.0.1:9/hook") == 201
        assert [webhook(f"http://{ip}/hook") for ip in ("10.1.2.3", "192.168.1.1", "169.254.169.254")] == [403] * 3
        assert ml_backend("http://10.1.2.3/") == 403
        assert ml_backend("http://127.0.0.1:9/") == 400  # looked for, and nobody was there
        client.delete(f"/api/projects/{project}/")


@pytest.mark.parametrize("name", CHILDREN)
def test_a_child_that_is_killed_comes_back(name: str, on_postgres: Up) -> None:
    until(lambda: all_work(on_postgres), f"all work before {name} is killed")
    before = on_postgres.child(name)
    assert before is not None
    workers, orphans = newest_worker(on_postgres), before.children(recursive=True)
    before.kill()
    until(lambda: on_postgres.child(name) not in (None, before), f"{name} is started again")
    until(lambda: not any(lives(orphan) for orphan in orphans), f"what {name} had started has ended")
    until(lambda: f"{name} has ended and is started again" in on_postgres.words.read_text(), "the terminal says so")
    if name.endswith("worker"):
        until(lambda: newest_worker(on_postgres) > workers, f"{name} works again")
    until(lambda: all_work(on_postgres), f"all work after {name} was killed")


def test_a_second_up_on_the_same_folder_is_refused(on_postgres: Up) -> None:
    assert on_postgres.process is not None
    again = subprocess.run(
        cli("up", "--data-dir", str(on_postgres.data_dir)), check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert again.returncode == 2
    assert f"already runs on {on_postgres.data_dir} (process {on_postgres.process.pid})" in again.stderr


def test_ctrl_c_leaves_no_process_and_a_second_start_goes_on_with_everything_in_place(running: Up) -> None:
    with running.as_administrator as client:
        form = '<View><Text name="t" value="$x"/></View>'
        project = client.post("/api/projects/", json={"title": "kept", "label_config": form}).json()["id"]
    addresses, settings = running.addresses, running.settings
    setup = running.data_dir / "label-studio/init.log"
    written = setup.stat().st_mtime_ns
    assert running.end(signal.SIGINT) == 0
    assert left_behind(running.data_dir) == []
    assert all(is_free(int(address.split(":")[-1].split("/")[0])) for address in addresses.values())
    running.start()
    running.ready()
    print(f"second start: up after {running.took_s:.0f} s")
    assert setup.stat().st_mtime_ns == written, "nothing is installed or migrated again"
    assert (running.addresses, running.settings) == (addresses, settings)
    with running.as_administrator as client:
        assert client.get(f"/api/projects/{project}/").json()["title"] == "kept"


def test_what_a_killed_up_left_is_ended_by_the_next_start_and_sigterm_ends_that(on_postgres: Up) -> None:
    assert on_postgres.end(signal.SIGKILL) == -signal.SIGKILL
    left = left_behind(on_postgres.data_dir)
    assert left
    on_postgres.start()
    on_postgres.ready()
    assert not set(left) & set(left_behind(on_postgres.data_dir))
    assert on_postgres.end(signal.SIGTERM) == 0
    assert left_behind(on_postgres.data_dir) == []


def test_down_ends_a_running_up_and_with_purge_nothing_is_left(both: dict[str, Up]) -> None:
    running = both["sqlite"]
    outside = (running.data_dir / "postgres/files").resolve()
    assert outside.is_relative_to(SYSTEM_DATA_ROOT if os.geteuid() == 0 else running.data_dir)
    assert down(running) == 0
    assert running.process is not None
    assert running.process.wait(120) == 0
    assert left_behind(running.data_dir) == []
    assert not running.data_dir.exists()
    assert not outside.exists()
