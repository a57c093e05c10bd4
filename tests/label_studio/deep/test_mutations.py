"""Each invariant is broken by SQL or on disk: the deep look tells that one and no other, and safe repairs repair it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from backend.decide.promote import rollback
from backend.service import create_app
from console.doctor import fix_safe
from console.doctor.deep import Status
from console.doctor.deepest import places
from labelloop.process.settings import Settings
from labelloop.store.database import Database
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


class Mutation(NamedTuple):
    invariant: str
    sql: str
    repairs: bool = False
    """Whether the safe repairs repair it."""


ANSWERED = (
    "(select id from outputs where state = 'answered' and id not in (select output_id from annotation_versions"
    " where output_id is not null and instance not in (select instance from projects)) order by key limit 1)"
)
"""Not the output that is answered over HTTP too."""
OPEN = (
    "(select id from outputs where state = 'in_review' and id not in (select output_id from alerts)"
    " order by key limit 1)"
)
CAT = (
    "(select seq from (select distinct on (output_id) * from answers order by output_id, seq desc) a"
    " where label = 'cat' order by seq limit 1)"
)
NEWEST = f"(select max(seq) from annotations where output_id = {ANSWERED})"
THEIRS = f"(select annotation_id from annotation_versions where seq = {NEWEST})"
TRAINED = "(select output_id from run_items where part = 'train' order by output_id limit 1)"
DELETED = (
    "(select v.seq from annotation_versions v join outputs o on o.id = v.output_id"
    " where v.deleted and o.state <> 'withdrawn' limit 1)"
)
DOG = CAT.replace("'cat'", "'dog'")
STEP = (
    "(select min(e.id) from record_entries e where e.what = 'outputs' and e.operation = 'update'"
    " and e.before is distinct from e.after and e.key = (select key from record_entries where what = 'outputs'"
    " and operation = 'update' group by key having count(*) > 2 limit 1))"
)
"""A change of an output's state that is not its last one."""
YAK = """'[{"id": "r1", "from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["yak"]}}]'"""
COLUMNS = (
    "task_id, output_id, result, completed_by, updated_by, was_cancelled, ground_truth, lead_time_s, created_at,"
    " updated_at"
)
ADD = f"insert into annotation_versions (instance, annotation_id, sha256, deleted, {COLUMNS}) select instance"
OF_NEWEST = f"{COLUMNS} from annotation_versions where seq = {NEWEST}"
MUTATIONS = {
    "outputs.state": Mutation("I1", f"update outputs set state = 'answered' where id = {OPEN}"),
    "pool deleted": Mutation("I1", "delete from pool where output_id = (select min(output_id::text)::uuid from pool)"),
    "tasks.label_studio_id": Mutation(
        "I4", f"update tasks set label_studio_id = 999999999 where output_id = {OPEN}", repairs=True
    ),
    "tasks.label_studio_id of an answer": Mutation(
        "I4", f"update tasks set label_studio_id = 999999998 where output_id = {ANSWERED}", repairs=True
    ),
    "outputs.data": Mutation("I4", f"""update outputs set data = '{{"text": "another"}}' where id = {OPEN}"""),
    "tasks deleted": Mutation("I5", f"delete from tasks where output_id = {OPEN}", repairs=True),
    "annotation_versions deleted": Mutation(
        "I6", f"delete from annotation_versions where annotation_id = {THEIRS}", repairs=True
    ),
    "annotation_versions.updated_at": Mutation(
        "I6",
        f"update annotation_versions set updated_at = updated_at - interval '1 hour' where seq = {NEWEST}",
        repairs=True,
    ),
    "annotation_versions.task": Mutation(
        "I6",
        f"update annotation_versions set created_at = created_at - interval '1 hour' where seq = {NEWEST}",
    ),
    "annotation that nobody gave": Mutation("I7", f"{ADD}, 999999999, sha256, false, {OF_NEWEST}"),
    "tombstone deleted": Mutation("I7", f"delete from annotation_versions where seq = {DELETED}", repairs=True),
    "import left": Mutation(
        "I8",
        "insert into batches (loop, version, size, state, sent_at)"
        " values ('pets', 'pipeline', 1, 'sending', now() - interval '1 day')",
        repairs=True,
    ),
    "run without a worker": Mutation(
        "I8", "update retrain_runs set status = 'running', heartbeat_at = now() - interval '1 day'"
    ),
    "held-out output in training": Mutation("I11", f"update outputs set holdout = true where id = {TRAINED}"),
    "run_items.label": Mutation("I12", f"update run_items set label = 'yak' where output_id = {TRAINED}"),
    "promotion without a verdict": Mutation("I13", 'update promotions set "by" = \'gate\''),
    "promotion without a reason": Mutation("I13", "update promotions set why = ' '"),
    "model_versions.stage": Mutation("I14", "update model_versions set stage = 'retired'"),
    "promotions deleted": Mutation("I14", "delete from promotions"),
    "quarantined without a reason": Mutation(
        "I18", "update outputs set state_reason = null where state = 'quarantined'"
    ),
    "tombstone of an annotation that exists": Mutation(
        "I19", f"{ADD}, annotation_id, sha256('deleted'), true, {OF_NEWEST}", repairs=True
    ),
    "tombstone of nothing": Mutation("I19", f"{ADD}, 999999999, sha256('deleted'), true, {OF_NEWEST}"),
    "exclusions deleted": Mutation("I21", "delete from exclusions"),
    "exclusions.until": Mutation("I21", "update exclusions set until = now()"),
    "record: an entry changed": Mutation(
        "I15", f"update record_entries set after = '{{\"state\": \"passed\"}}' where id = {STEP}"
    ),
    "record: the newest entry of a row changed": Mutation(
        "I15",
        "update record_entries set content = sha256('') where id = (select max(id) from record_entries"
        " where what = 'model_versions' and content is not null)",
    ),
    "record: a reason changed": Mutation(
        "I15", "update record_entries set reason = 'another' where id = (select max(id) from record_entries"
        " where what = 'promotions')",
    ),
    "record: an entry removed": Mutation("I15", f"delete from record_entries where id = {STEP}"),
    "record: an entry and its place removed": Mutation(
        "I15", f"delete from record_seals where record_id = {STEP}; delete from record_entries where id = {STEP}"
    ),
    "record: an entry back-dated": Mutation(
        "I15", f"update record_entries set at = at - interval '1 hour' where id = {STEP}"
    ),
    "record: an entry inserted": Mutation(
        "I15",
        "insert into record_entries (at, actor, what, key, operation) select at, actor, 'pool', 'x', 'insert'"
        " from record_entries order by id desc limit 1; update record_sealing set horizon = 1 + (select max(id)"
        " from record_entries)",
    ),
    "record: the end cut": Mutation(
        "I15", "delete from record_seals where seq > (select max(seq) - 3 from record_seals)"
    ),
    "record: a trigger off": Mutation("I15", "alter table answers disable trigger record_inserted"),
    "record: a trigger dropped": Mutation("I15", "drop trigger record_updated on outputs"),
    "a row on record": Mutation("I16", "update spec_versions set spec = spec || '{\"a\": 1}'"),
    "a row on record deleted": Mutation("I16", "delete from spec_versions"),
    "secret in a log": Mutation("I20", f"update retrain_runs set log = 'it says {SECRET} here'"),
    "feedback.label": Mutation(
        "I23", f"update feedback set label = 'yak' where model_output_id = {ANSWERED}", repairs=True
    ),
    "feedback deleted": Mutation("I23", f"delete from feedback where model_output_id = {ANSWERED}", repairs=True),
    "feedback.annotation_id": Mutation(
        "I23", f"update feedback set annotation_id = 999999999 where model_output_id = {ANSWERED}", repairs=True
    ),
    "answers.label": Mutation("I24", f"update answers set label = 'eel' where seq = {CAT}", repairs=True),
    "answers.label of an old answer": Mutation(
        "I12",
        "insert into answers (output_id, loop, label, agreement, reviewers) select output_id, loop, label, agreement,"
        f" reviewers from answers where output_id = {TRAINED} order by seq desc limit 1;"
        f" update answers set label = 'yak' where seq = (select answer_seq from run_items where output_id = {TRAINED})",
    ),
    "answers.reviewers": Mutation("I24", f"update answers set reviewers = 7 where seq = {DOG}", repairs=True),
    "answers deleted": Mutation("I24", f"delete from answers where output_id = {ANSWERED}"),
    "annotation_versions.result": Mutation(
        "I25", f"update annotation_versions set result = {YAK} where seq = {NEWEST}"
    ),
    "annotation_versions.sha256": Mutation(
        "I25", f"update annotation_versions set sha256 = sha256('') where seq = {NEWEST}"
    ),
}  # fmt: skip


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
