"""Each invariant is broken by SQL or on disk: the deep look tells that one and no other, and safe repairs repair it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend.decide.promote import rollback
from backend.service import create_app
from console.doctor import fix_safe
from console.doctor.deep import Status
from console.doctor.deepest import places
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.chaos.mutations import ANSWERED, MUTATIONS, OPEN
from tests.support.hops.deep_loop import LOOP, SECRET, DeepLoop, data_only, deep_loop, looked, remembering, seal, tamper
from tests.support.house import Service
from tests.support.servers import LabelStudio


@pytest.fixture(scope="module")
def deep(
    postgres_url: str, _template: str, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DeepLoop]:
    folder: Path = tmp_path_factory.mktemp("deep")
    with deep_loop(postgres_url, _template, label_studio, folder) as made:
        yield made


@pytest.fixture(scope="module")
def studio(deep: DeepLoop) -> Iterator[str]:
    """Address of Label Studio for tests that change nothing there."""
    service = Service(remembering(deep.label_studio.url))
    yield service.url
    service.go()


@pytest.fixture
def copy(deep: DeepLoop, postgres_url: str) -> Iterator[Settings]:
    with deep.copy(postgres_url) as settings:
        yield settings


def test_a_loop_with_outputs_in_all_states_is_green(copy: Settings) -> None:
    with Database(copy.database_url) as database, database.transaction() as conn:
        states = {row["state"] for row in conn.execute("select distinct state::text from outputs")}
        answers = [row["label"] for row in conn.execute("select label from answers")]
    assert states == {"passed", "waiting", "in_review", "answered", "quarantined", "withdrawn"}
    assert {"cat", "dog", "eel", None} <= set(answers)
    assert looked(places(copy)) == {}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_sql_changed_is_told_by_its_invariant_and_by_no_other(copy: Settings, name: str, studio: str) -> None:
    mutation = MUTATIONS[name]
    tamper(copy.database_url, *mutation.sql.split("; "))
    found = looked(replace(data_only(copy), label_studio_url=studio))
    found.pop("I9", None)  # nobody has looked at the file
    assert {id_: verdict.status for id_, verdict in found.items()} == {mutation.invariant: Status.VIOLATED}, found


def test_the_safe_repairs_repair_all_that_they_can_at_once(copy: Settings) -> None:
    """The mutations are about different outputs, as far as each is about one."""
    places_of: Counter[str] = Counter()
    for mutation in MUTATIONS.values():
        if mutation.repairs:
            about = next((which for which in (ANSWERED, OPEN) if which in mutation.sql), "")
            another = about.replace("limit 1", f"offset {places_of[about]} limit 1")
            tamper(copy.database_url, mutation.sql.replace(about, another) if about else mutation.sql)
            places_of[about] += 1
    assert len(looked(data_only(copy))) > 5
    done = fix_safe(copy, LOOP)
    seal(copy)
    # Nobody looked at the file. A run used an answer that stays as SQL changed it; the record shows what SQL did.
    left = {"I9", "I12", "I15", "I16"}
    assert set(looked(data_only(copy))) == left, done
    assert fix_safe(copy, LOOP) == []
    tamper(copy.database_url, MUTATIONS["task of a person who has answered it"].sql)
    assert set(looked(data_only(copy))) == {*left, "I26"}
    fix_safe(copy, LOOP)
    seal(copy)
    assert set(looked(data_only(copy))) == left, "it is repaired alone too"


def test_a_loop_at_rest_is_green_and_what_happens_there_is_told(copy: Settings) -> None:
    with Database(copy.database_url) as database, database.transaction() as conn:
        assert loops.archive(conn, LOOP, "me")
    seal(copy)
    assert looked(places(copy)) == {}
    away = replace(places(copy), label_studio_url="http://127.0.0.1:9", models_dir=None)
    assert set(looked(away)) == {"I9"}, "nobody looks at Label Studio for it"
    tamper(copy.database_url, "update loops set archived_at = archived_at - interval '1 day'")
    assert set(looked(away)) == {"I9", "I27"}
    tamper(copy.database_url, f"update feedback set label = 'yak' where model_output_id = {ANSWERED}")
    assert set(looked(away)) == {"I9", "I23", "I27"}


def test_a_champion_whose_file_is_lost_changed_or_no_model_is_told(copy: Settings, tmp_path: Path) -> None:
    assert copy.models_dir is not None
    [file] = copy.models_dir.glob("*.skops")
    where = replace(places(copy), models_dir=tmp_path)
    raw = bytearray(file.read_bytes())
    assert set(looked(where)) == {"I9"}, "no file"
    raw[len(raw) // 2] ^= 1
    (tmp_path / file.name).write_bytes(raw)
    assert set(looked(where)) == {"I9"}, "one bit"

    content = b"this is no model"
    name = hashlib.sha256(content).hexdigest()
    (tmp_path / f"{name}.skops").write_bytes(content)
    tamper(
        copy.database_url, f"update model_versions set id = '{name}'", f"update promotions set version_id = '{name}'"
    )
    found = looked(where)
    assert set(found) == {"I9", "I16"}, "the rows have another name, which is not on record"
    assert "does not load in a new process" in found["I9"].problems[0].says
    assert looked(replace(where, models_dir=tmp_path / "none"))["I9"].status is Status.UNKNOWN


def test_a_backend_that_serves_another_version_is_told(copy: Settings, deep: DeepLoop, postgres_url: str) -> None:
    settings = replace(copy, backend_password="a-password-of-tests")
    with Database(copy.database_url) as database:
        backend = Service(create_app(settings, database))
        where = replace(data_only(settings), models_dir=settings.models_dir, backend_url=backend.url)
        try:
            assert looked(where) == {}
            with deep.copy(postgres_url) as later, Database(later.database_url) as other:
                rollback(other, LOOP, "me", "to see", models_dir=copy.models_dir)
                assert set(looked(replace(where, database_url=later.database_url))) == {"I10"}
        finally:
            backend.go()
        assert looked(where)["I10"].status is Status.UNKNOWN


def test_a_secret_in_a_log_file_is_told_and_not_shown(copy: Settings) -> None:
    file = copy.data_dir / "logs" / "sync.log"
    file.parent.mkdir()
    file.write_bytes(b"x" * (1 << 20) + SECRET.encode())
    try:
        found = looked(data_only(copy))
        assert set(found) == {"I9", "I20"}
        assert found["I20"].problems[0].key == str(file)
        assert SECRET not in str(found["I20"])
    finally:
        file.unlink()
        file.parent.rmdir()
