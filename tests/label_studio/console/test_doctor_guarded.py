"""A Label Studio of its own, on SQLite, that protects private addresses and is choosy about tokens: all is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from console.doctor import exit_status
from console.local.label_studio import LabelStudio, running
from labelloop.labelstudio.inspection import Inspection
from labelloop.store.database import Database
from tests.support.house import House, house
from tests.support.servers import PATIENT
from tests.support.servers import LabelStudio as OnPostgres

pytestmark = pytest.mark.timeout(600)  # the start of another Label Studio takes 40 s of processor time


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    with running(tmp_path_factory.mktemp("guarded"), extra_env=PATIENT) as server:
        yield server


@pytest.fixture
def pets(guarded: LabelStudio, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(database, guarded.url, guarded.account.token, tmp_path_factory.mktemp("models")) as pets:
        yield pets


def test_sqlite_is_told_with_tasks_and_without(pets: House) -> None:
    pets.loop.push()
    assert set(pets.ill()) == {"database"}
    pets.loop.submit(3)
    pets.loop.push()
    ill = pets.ill()
    assert set(ill) == {"database"}
    assert "SQLite" in ill["database"].says


def test_postgres_is_told_with_tasks_and_without(
    database: Database, label_studio: OnPostgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with house(database, label_studio.url, label_studio.token, tmp_path_factory.mktemp("models")) as pets:
        pets.loop.push()
        assert pets.ill() == {}
        pets.loop.submit(1)
        pets.loop.push()
        assert "database" not in pets.ill()


def test_addresses_that_label_studio_refuses(pets: House) -> None:
    """To us 0.0.0.0 is this machine as well; to Label Studio it is on its list."""
    right = pets.settings
    refused = {name: getattr(right, name).replace("127.0.0.1", "0.0.0.0") for name in ("sync_url", "backend_url")}
    pets.settings = pets.loop.settings = replace(right, **refused)
    pets.loop.push()
    ill = pets.ill()
    assert set(ill) == {"database", "webhook", "webhook address", "ml backend", "ml address"}
    assert "reserved network address" in ill["webhook address"].says
    assert "SSRF_PROTECTION_ENABLED" in ill["webhook address"].repair
    assert "ML_BLOCK_LOCAL_IP" in ill["ml address"].repair
    assert pets.hooks() == []

    pets.settings = pets.loop.settings = right
    ill = pets.ill()
    assert set(ill) == {"database", "webhook", "ml backend"}
    pets.repair(ill["webhook"])
    assert set(pets.ill()) == {"database"}


@pytest.mark.parametrize(
    ("host", "says", "repair"),
    [("nobody.invalid", "Can't resolve", "a name it can resolve"), ("sync", "valid URL", "a name with a dot")],
)
def test_addresses_that_label_studio_cannot_use(pets: House, host: str, says: str, repair: str) -> None:
    pets.loop.push()
    ill = pets.ill(sync_url=f"http://{host}:1")
    assert {"intake", "doorbell", "webhook", "webhook address"} <= set(ill)
    assert says in ill["webhook address"].says
    assert repair in ill["webhook address"].repair


def test_a_look_at_an_address_makes_nothing(pets: House) -> None:
    pets.loop.push()
    before = pets.hooks()
    with Inspection(pets.settings.label_studio_url, pets.settings.label_studio_token) as studio:
        assert studio.refuses_webhook(pets.loop.project_id, pets.sync.url) is None
        assert studio.refuses_ml_backend(pets.loop.project_id, pets.backend.url) is None
        assert "0.0.0.0/8" in str(studio.refuses_ml_backend(pets.loop.project_id, "http://0.0.0.0:1"))
        assert len(studio.ml_backends(pets.loop.project_id)) == 1
    assert pets.hooks() == before


def test_a_token_of_the_kind_that_the_organisation_does_not_take(pets: House, guarded: LabelStudio) -> None:
    pets.loop.push()
    legacy = pets.settings.label_studio_token
    web = pets.loop.web
    personal = web.post("/api/token/").raise_for_status().json()["token"]

    def allow(headers: dict[str, str], *, personal_ones: bool, legacy_ones: bool) -> None:
        body = {"api_tokens_enabled": personal_ones, "legacy_api_tokens_enabled": legacy_ones}
        httpx.post(f"{guarded.url}/api/jwt/settings", json=body, headers=headers, timeout=60).raise_for_status()

    by_legacy = {"Authorization": f"Token {legacy}"}
    assert set(pets.ill(label_studio_token=personal)) == {"database"}
    try:
        allow(by_legacy, personal_ones=False, legacy_ones=True)
        ill = pets.ill(label_studio_token=personal)
        assert set(ill) == {"label studio"}
        assert "takes only legacy ones" in ill["label studio"].says
        assert "a legacy token" in ill["label studio"].repair
        assert exit_status(list(ill.values())) == 2

        allow(by_legacy, personal_ones=True, legacy_ones=False)
        ill = pets.ill()
        assert set(ill) == {"label studio"}
        assert "takes only personal ones" in ill["label studio"].says
        assert "a personal token" in ill["label studio"].repair
        assert set(pets.ill(label_studio_token=personal)) == {"database"}
    finally:
        fresh = httpx.post(f"{guarded.url}/api/token/refresh/", json={"refresh": personal}, timeout=60).json()
        by_personal = {"Authorization": f"Bearer {fresh['access']}"}
        allow(by_personal, personal_ones=True, legacy_ones=True)

    web.post("/api/token/rotate/", json={"refresh": personal}).raise_for_status()
    ill = pets.ill(label_studio_token=personal)
    assert "was revoked" in ill["label studio"].says
