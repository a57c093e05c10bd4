"""Forget: a word that was planted in every field of an output, by the real hops, is nowhere afterwards."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from console.cli import main
from labelloop.errors import Busy, Failed
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import Output
from labelloop.queue.lanes import Lane, place
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.forget import Wish, forget
from tests.support.hops.callbacks import EVERYTHING, send
from tests.support.hops.retraining import quickly, trained
from tests.support.house import House, house
from tests.support.network.faultproxy import proxy
from tests.support.raw_answers import give
from tests.support.recorded import Recorded
from tests.support.servers import LabelStudio, label_studio_database
from tests.support.sync_loop import region

MARK = f"Zanzibar{uuid.uuid4().hex[:6]}"
"""The word; no other run has left it in Label Studio."""
XML = """<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="single-radio">
<Choice value="cat"/><Choice value="dog"/></Choices><TextArea name="comment" toName="text"/></View>"""
YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [cat, dog]
  holdout: 0.5
  audit: 0.0
  reuse_answers: true
  learner: {name: text, field: text}
  gate: {slices: [data, label], min_holdout: 5}
  queue: {strategy: least_confidence, window: 100, embedding: 2}
"""
NOTES_XML = """<View><Text name="text" value="$text"/><TextArea name="words" toName="text" required="true"/></View>"""
NOTES = parse("notes", 'feedback_loop: {trigger: "model_confidence < 0.8", learner: {name: none}}', NOTES_XML)
PLANTED = {
    "outputs", "answers", "annotation_versions", "unreadable", "feedback", "deliveries", "outbox", "retrain_runs",
    "told_answers", "outcomes", "record_entries", "pool", "projects",
}  # fmt: skip
"""The tables of which this test knows that the word is in them before."""


def rows_with(url: str, word: str) -> dict[str, list[str]]:
    """Return the rows, as texts, of all tables of a database in which the word is."""
    found = {}
    with psycopg.connect(url) as conn:
        tables = conn.execute("select tablename from pg_tables where schemaname = 'public' order by 1").fetchall()
        for (table,) in tables:
            query = sql.SQL("select t::text from {} t where t::text ilike {}").format(
                sql.Identifier(table), sql.Literal(f"%{word}%")
            )
            if rows := [row for (row,) in conn.execute(query)]:
                found[table] = rows
    return found


def sided(spec: LoopSpec, *, held: bool) -> str:
    """Return a group that is held out, or one that is not."""
    groups = (f"{MARK} family {i}" for i in range(100))
    return next(
        g
        for g in groups
        if (place(Output("k", {"text": "t"}, label="cat", group=g), spec).lane == Lane.HOLDOUT) is held
    )


def run(pets: House, *words: str) -> Result:
    return CliRunner().invoke(main, words, env=pets.settings.to_env() | {"USER": "ada"})


class Pipeline:
    """Submits outputs and answers over HTTP."""

    def __init__(self, pets: House) -> None:
        self._web = httpx.Client(base_url=pets.sync.url, headers={"Authorization": "Bearer an-intake-token"})

    def post(self, path: str, body: Any) -> Any:
        answer = self._web.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self, loop: str, *outputs: dict[str, Any]) -> None:
        for one in outputs:
            self.post(f"/v1/loops/{loop}/outputs", one)


def words(of: str) -> str:
    """Return words that no other text has: near-duplicates are kept apart in training."""
    return " ".join(hashlib.sha256(f"{of} {i}".encode()).hexdigest()[:7] for i in range(8))


def planted(key: str, group: str, i: int, **more: Any) -> dict[str, Any]:
    """Return an output with the word in every field that takes one."""
    return {
        "key": f"{MARK}/{key}",
        "group": group,
        "data": {
            "text": f"{'miaow' if i % 2 else 'woof'} {MARK} {words(key)}",
            "customer": f"{MARK} Ltd",
            "deep": {"a": [MARK]},
        },
        "probabilities": {"cat": 0.6, "dog": 0.4},
        "model_version": "7",
        "evidence": {"samples": [f"{MARK} said", "and so"]},
        "embedding": [1.0 * (i % 7), 1.0 * (i // 7)],
        "trace": f"trace of {MARK}",
        "meta": {"who": MARK},
        **more,
    }


def plain(i: int) -> dict[str, Any]:
    says = "miaow purr" if i % 2 else "woof bark"
    return {
        "key": f"other/{i}",
        "data": {"text": f"{says} {words(str(i))}", "customer": "Other Ltd"},
        "probabilities": {"cat": 0.6, "dog": 0.4},
        "embedding": [1.0 * (i % 7), -1.0 * (i // 7)],
        "model_version": "7",
    }


@pytest.fixture
def pets(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Any:
    with house(database, label_studio.url, label_studio.token, tmp_path, of=parse("pets", YAML, XML)) as pets:
        yield pets


def interrupted(pets: House, group: str) -> None:
    """Begin to forget a group: Label Studio goes away before the first deletion; then, after the last, a run trains."""
    loop = pets.loop
    wish = Wish(group=group)
    with proxy(loop.gateway.url) as between:

        def leave(what: str) -> None:
            between.away = "deleting" in what

        through = Gateway(between.url, pets.settings.label_studio_token)
        with closing(through), pytest.raises(Failed, match=r"begun and is not finished.*Run the same command again"):
            forget(loop.database, lambda: through, loop.spec, wish, "ada", None, leave)

    def train(what: str) -> None:
        if what == "removing the data from Postgres":
            loop.do("insert into retrain_runs (loop, why, status) values ('pets', 'in between', 'running')")

    with pytest.raises(Busy, match="has begun in Label Studio, and nothing is removed from Postgres yet"):
        forget(loop.database, lambda: loop.gateway, loop.spec, wish, "ada", None, train)
    loop.do("delete from retrain_runs where why = 'in between'")
    [begun] = json.loads(run(pets, "forget", "--list", "--group", group, "--json").stdout)
    assert (begun["state"], begun["outputs"]) == ("begun, not finished: run it again", 0)
    assert "1 removal has begun and not ended: pets" in pets.ill()["forget"].says
    loop.connect()  # the texts are answered outputs still, and would be examples again


def test_a_word_planted_in_every_field_is_in_no_row_of_either_database_afterwards(
    pets: House, database: Database, label_studio_postgres: str, tmp_path: Path
) -> None:
    loop, pipeline = pets.loop, Pipeline(pets)
    held, taught = sided(loop.spec, held=True), sided(loop.spec, held=False)
    with database.transaction() as conn:
        loops.register(conn, NOTES)
        registered.add(conn, None, "http://127.0.0.1:1/gone", EVERYTHING, "ada")

    # by the pipeline
    pipeline.submit("pets", *(planted(f"held {i}", held, i) for i in range(12)))
    pipeline.submit("pets", *(planted(f"taught {i}", taught, i + 20) for i in range(12)))
    pipeline.submit(
        "pets",
        planted("gold", taught, 90, gold="cat"),
        planted("sure", taught, 91, label="cat", confidence=0.99, probabilities=None),
    )
    repeated = planted("taught 0", taught, 20)["data"]
    pipeline.submit("pets", {**plain(0), "key": "a repeat", "data": repeated})
    pipeline.submit("pets", *(plain(i) for i in range(40)))
    note = {"data": {"text": f"a note of {MARK}"}, "label": f"{MARK} hums", "confidence": 0.1, "model_version": "7"}
    pipeline.submit("notes", {**note, "key": f"{MARK}/note"}, {**note, "key": f"{MARK}/held note"})
    said = {"reviewer_id": "eve", "approval": False, "correction": f"{MARK} sings", "comment": f"{MARK} again"}
    pipeline.post("/v1/loops/notes/feedback", {"key": f"{MARK}/note", **said})
    pipeline.post(f"/v1/loops/notes/outputs/{MARK}/held%20note/outcome", {"fallback": f"{MARK} falls"})
    loop.sql(
        "insert into outbox (loop, body) values ('pets', %(b)s) returning id",
        b=json.dumps({"key": f"{MARK}/x", "group": held}),
    )

    # by people
    loop.push()
    for task in loop.tasks():
        if task["data"]["labelloop_key"] != f"{MARK}/taught 11":
            label = "cat" if "miaow" in task["data"]["text"] else "dog"
            comment = {
                "id": "c",
                "from_name": "comment",
                "to_name": "text",
                "type": "textarea",
                "value": {"text": [f"{MARK} it is"]},
            }
            marked = [comment] if MARK in task["data"]["text"] else []
            give(loop, task["data"]["labelloop_key"], [*region(label), *marked])
    comment = {
        "id": "c",
        "from_name": "comment",
        "to_name": "text",
        "type": "textarea",
        "value": {"text": [f"{MARK} only"]},
    }
    give(loop, f"{MARK}/taught 11", [comment])
    loop.pull()

    # by the models, and to the receivers
    loop.do("delete from retrain_runs where status = 'queued'")  # the answers asked for it; here it is asked for below
    version = quickly(database, pets.settings, "pets")
    finished = trained(database, pets.settings, "pets")
    assert f"{MARK} Ltd" in json.dumps(finished.evaluation)
    send(database)
    send(database)
    loop.connect()  # writes examples into the instruction, as the worker does every 15 minutes
    theirs = label_studio_database(label_studio_postgres, loop.project.instance)
    before = rows_with(database.url, MARK)
    assert set(before) >= PLANTED
    assert set(rows_with(theirs, MARK)) >= {"task", "task_completion", "project"}
    recorded = Recorded(database, tmp_path / "heads.jsonl")
    recorded.seal()
    counted = loop.sql("select lane::text, count(*) as n from outputs group by 1 order by 1")
    [kept] = [task for task in loop.tasks() if task["data"]["labelloop_key"] == f"{MARK}/taught 3"]

    seen = run(pets, "forget", "--loop", "pets", "--group", taught, "--dry-run", "--json")
    assert json.loads(seen.stdout)["forgotten"] is False
    assert version[:12] in seen.stderr
    assert "annotation_versions" in seen.stderr
    assert run(pets, "forget", "--loop", "pets", "--group", held).exit_code == 2, "without a terminal it needs --yes"
    assert rows_with(database.url, MARK) == before
    interrupted(pets, taught)
    assert set(rows_with(theirs, MARK)) >= {"task"}, "the tasks of the other group"
    assert "project" not in rows_with(theirs, MARK), "no example is left, and none comes back"
    wishes = (
        ["--loop", "pets", "--group", held],
        ["--loop", "pets", "--group", taught],
        ["--loop", "pets", "--key", "a repeat"],
        ["--loop", "notes", "--key", f"{MARK}/note", "--key", f"{MARK}/held note"],
    )
    done = [run(pets, "forget", *wish, "--yes", "--why", "asked by letter", "--json") for wish in wishes]
    assert [one.exit_code for one in done] == [0, 0, 0, 0], [one.output for one in done]
    assert rows_with(database.url, MARK) == {}
    assert rows_with(theirs, MARK) == {}

    recorded.seal()
    assert recorded.findings() == [], "the chain of the record is whole, and no row counts as changed"

    listed = json.loads(run(pets, "forget", "--list", "--json").stdout)
    assert [(one["loop"], one["outputs"], one["state"]) for one in listed] == [
        ("notes", 1, "done"),
        ("notes", 1, "done"),
        ("pets", 1, "done"),
        ("pets", 12, "done"),
        ("pets", 14, "done"),
    ]
    assert "forget" not in pets.ill()

    # The versions are named, the rows stay, and the proof is found by the name.
    assert version in json.loads(done[1].stdout)["versions"]
    assert loop.sql("select lane::text, count(*) as n from outputs group by 1 order by 1") == counted
    again = run(pets, "forget", *wishes[1], "--yes")
    assert (again.exit_code, "it was forgotten on" in again.stderr) == (2, True)
    [proof] = json.loads(run(pets, "forget", "--list", "--group", taught, "--json").stdout)
    assert (proof["by"], proof["why"]) == ("ada", "asked by letter")
    assert set(proof["versions"]) == {str(finished.version_id)[:12], version[:12]}
    replayed = run(pets, "replay", str(finished.id), "--loop", "pets")
    assert (replayed.exit_code, "were forgotten" in replayed.stderr) == (1, True)

    # A task that a backup of Label Studio brings back is not read, and is deleted again.
    body = [{"data": kept["data"], "annotations": [{"result": region("cat")}]}]
    loop.web.post(f"/api/projects/{loop.project_id}/import", json=body).raise_for_status()
    loop.pull(full=True)
    assert rows_with(database.url, MARK) == {}
    assert rows_with(theirs, MARK) == {}

    # The key is free: what the pipeline sends again begins anew.
    pipeline.submit("pets", planted("taught 3", taught, 23))
    assert loop.sql("select state::text from outputs where key = %(k)s", k=f"{MARK}/taught 3") == [{"state": "waiting"}]
