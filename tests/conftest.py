"""The real Postgres and the real Label Studio for all tests: one of each a session, a fresh database a test.

LABELLOOP_TEST_POSTGRES (an administrator's URL) and LABELLOOP_TEST_LABEL_STUDIO ("url|token", and "|email|password" for
tests that log in as the administrator) name servers that are running already; without them the session starts its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from psycopg.conninfo import conninfo_to_dict

from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from tests.support.servers import PATIENT, LabelStudio, a_database, a_postgres
from tests.support.shared import Shared, ask_for, turn, wanted
from tests.support.workers.processes import jobs_of_ours

# The time of an example depends more on the machine than on the tested code. Two runs of one commit try the same
# examples, so that neither fails by chance; `--hypothesis-profile explore` tries others.
hypothesis_settings.register_profile("labelloop", deadline=None, derandomize=True)
hypothesis_settings.register_profile("explore", deadline=None)
hypothesis_settings.load_profile("labelloop")


@pytest.fixture(scope="session", autouse=True)
def _no_up_of_ours_is_the_users_last(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands outside the tests must not find an `up` of a test, and tests none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_job_of_a_file_outlives_it() -> Iterator[None]:
    """The tests of the next file in this process find no processes of this one."""
    yield
    assert not jobs_of_ours()


FOLDERS = ("end_to_end", "label_studio", "postgres", "unit")
"""Long files come first. A parallel run ends with many short ones, so no process waits long for another."""
AS_APPLICATION = bool(os.environ.get("LABELLOOP_TEST_AS_APPLICATION"))
"""Whether `database` is opened by a role without the owner's rights, as an installation with two roles has it, except
in tests marked `owner`.
"""
START_S = 600
"""Time limit of a test that may wait for the start of Label Studio: 40 s of processor time, on a machine that may be
busy. That is the first of a file.
"""


@pytest.hookimpl(trylast=True)  # after -k and -m have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    items.sort(key=lambda item: FOLDERS.index(item.path.relative_to(tests).parts[0]))
    waiting = [item for item in items if "label_studio" in getattr(item, "fixturenames", ())]
    first = {item.path: item for item in reversed(waiting)}
    for item in first.values():
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(START_S))
    shared = getattr(config, "workerinput", {}).get("shared")
    if shared is not None and waiting and not os.environ.get("LABELLOOP_TEST_LABEL_STUDIO"):
        ask_for(Path(shared))  # it is up when the first test needs it


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the time limit of the test begins to run
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give a test that deletes a project Label Studio for itself: meanwhile that counts nobody's annotations."""
    shared = getattr(item.config, "workerinput", {}).get("shared")
    if shared is None or "label_studio" not in getattr(item, "fixturenames", ()):
        return (yield)
    with turn(Path(shared), alone=item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_configure_node(node: Any) -> None:
    """Run in the controller of a parallel run, for each of its processes."""
    if not hasattr(node.config, "shared"):
        node.config.shared = Shared()
    node.workerinput["shared"] = str(node.config.shared.folder)


def pytest_unconfigure(config: Any) -> None:
    if hasattr(config, "shared"):
        config.shared.end()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an administrator who may create databases."""
    given = os.environ.get("LABELLOOP_TEST_POSTGRES")
    if given:
        yield given
        return
    with a_postgres() as postgres:
        yield postgres.url("postgres")


def of_application(url: str) -> str:
    """Return the URL of the same database for the application's role."""
    at = urlsplit(url)
    return at._replace(netloc=f"labelloop_app:app@{at.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture(scope="session")
def _template(postgres_url: str) -> Iterator[str]:
    """A database with our schema, which the tests' own are copied from."""
    with a_database(postgres_url, f"labelloop_template_{uuid.uuid4().hex[:12]}") as url:
        if AS_APPLICATION:
            with psycopg.connect(url) as conn:
                conn.execute("drop role if exists labelloop_app")
                conn.execute("create role labelloop_app login password 'app'")
            migrate(url, of_application(url))
        else:
            migrate(url)
        yield url


@pytest.fixture
def database_url(postgres_url: str, _template: str) -> Iterator[str]:
    """A fresh database with our schema, dropped after the test."""
    template = str(conninfo_to_dict(_template)["dbname"])
    with a_database(postgres_url, f"labelloop_test_{uuid.uuid4().hex[:12]}", template) as url:
        yield url


@pytest.fixture
def database(database_url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    as_owner = not AS_APPLICATION or request.node.get_closest_marker("owner") is not None
    with Database(database_url if as_owner else of_application(database_url)) as database:
        yield database


@pytest.fixture(scope="session")
def label_studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """One real server a session: make a project a test."""
    given = os.environ.get("LABELLOOP_TEST_LABEL_STUDIO")
    if given:
        url, token, *admin = given.split("|")
        me = httpx.get(f"{url}/api/current-user/whoami", headers={"Authorization": f"Token {token}"}, timeout=60)
        email, password = admin or (me.raise_for_status().json()["email"], "")
        yield LabelStudio(url, token, email, password)
        return
    shared = getattr(request.config, "workerinput", {}).get("shared")
    if shared is not None:
        said = wanted(Path(shared))
        yield LabelStudio(said["url"], said["token"], said["email"], said["password"])
        return
    from console.local.label_studio import running

    folder: Path = tmp_path_factory.mktemp("label-studio")
    with running(folder, postgres_url=request.getfixturevalue("postgres_url"), extra_env=PATIENT) as server:
        yield LabelStudio(server.url, server.account.token, server.account.email, server.account.password)


@pytest.fixture(scope="session")
def label_studio_postgres(request: pytest.FixtureRequest, label_studio: LabelStudio, postgres_url: str) -> str:
    """URL of an administrator of the server on which `label_studio` has its database."""
    shared = getattr(request.config, "workerinput", {}).get("shared")
    if shared is None or os.environ.get("LABELLOOP_TEST_LABEL_STUDIO"):
        return postgres_url
    return wanted(Path(shared))["postgres"]
