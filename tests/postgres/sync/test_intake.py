"""The intake on a real Postgres: what it stores, what it refuses, and that it stays up whatever it is sent."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import jobs
from tests.support.intake_client import HEADERS, SPEC, URL, Intake, output
from tests.support.network.tcp import Line


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database)


# -- what is stored ----------------------------------------------------------------------------------------------


def test_new_then_known_then_a_conflict_and_only_the_first_is_stored(intake: Intake) -> None:
    first = intake.post(output())
    again = intake.post(dict(reversed(output().items())))
    other = intake.post(output(confidence=0.61))
    assert [first.status_code, again.status_code, other.status_code] == [201, 200, 409]
    assert (first.json["new"], again.json["new"], again.json["known"]) == (1, 0, 1)
    assert first.json["outputs"][0]["id"] == again.json["outputs"][0]["id"]
    assert other.json["path"] == "key"
    assert "a/1" in other.json["error"]
    assert [row["confidence"] for row in intake.sql("select confidence from outputs")] == [0.6]


def test_a_batch_is_stored_whole_or_not_at_all(intake: Intake) -> None:
    good = [output(f"k{i}") for i in range(5)]
    bad = intake.post(*good[:2], b"", output("k9", 1.5), *good[2:], b"{nonsense")
    assert bad.status_code == 422
    assert [(p["line"], p["path"], p["key"]) for p in bad.json["problems"]] == [
        (4, "probabilities.cat", "k9"),
        (8, "", None),
    ]
    assert intake.stored() == 0
    assert intake.post(*good[:3]).status_code == 201
    clash = intake.post(*good[3:], output("k0", 0.7))
    assert (clash.status_code, clash.json["keys"]) == (409, ["k0"])
    assert intake.stored() == 3
    rest = intake.post(*good, good[4])
    assert (rest.status_code, rest.json["new"], rest.json["known"]) == (201, 2, 4)
    assert [o["key"] for o in rest.json["outputs"]] == [f"k{i}" for i in range(5)]
    twice = intake.post(output("new"), output("new", 0.7))
    assert (twice.status_code, twice.json["keys"]) == (409, ["new"])


def test_a_waiting_output_is_in_the_pool_and_one_push_is_requested(intake: Intake) -> None:
    intake.post(*(output(f"k{i}", 0.6 if i % 2 else 0.95) for i in range(300)))
    rows = intake.sql(
        """
        select o.lane::text, o.state::text, o.holdout, o.triggered, o.inclusion_probability as chance, p.utility
        from outputs o left join pool p on p.output_id = o.id
        """
    )
    assert {row["lane"] for row in rows} == {"rule", "audit", "holdout", "pass"}
    for row in rows:
        assert (row["state"] == "waiting") == (row["utility"] is not None) == (row["lane"] != "pass")
        assert row["holdout"] == (row["lane"] == "holdout")
        assert row["triggered"] == (row["lane"] == "rule") or row["holdout"]
        by_chance = 0.3 if row["triggered"] else 0.3 + 0.7 * 0.2
        assert row["chance"] == (None if row["lane"] == "rule" else by_chance)
        assert row["utility"] == pytest.approx(0.8) if row["lane"] == "rule" else True
    asked = intake.sql("select task_name from procrastinate_jobs")
    assert {row["task_name"] for row in asked} <= {jobs.EMBED, jobs.PUSH}
    assert jobs.PUSH in {row["task_name"] for row in asked}


def test_evidence_embeddings_and_gold_are_stored_beside_the_output(database: Database) -> None:
    queue = SPEC.queue.model_copy(update={"embedding": 3, "strategy": "boxes_max"})
    intake = Intake(database, SPEC.model_copy(update={"holdout": 0.0, "queue": queue}))
    more: dict[str, Any] = {"evidence": {"boxes": [0.75, 1]}, "embedding": [0.1, 1e-60, -2]}
    both = [output("a", **more), output("b", **more, gold="cat")]
    assert intake.post(*both).status_code == 201
    refused = intake.post(output("c", embedding=[1, 2]))
    assert (refused.status_code, refused.json["path"]) == (422, "embedding")
    rows = intake.sql(
        "select evidence, embedding, o.gold, utility from outputs o join pool on output_id = id order by o.key"
    )
    for row in rows:
        assert row["evidence"] == {"boxes": [0.75, 1.0]}
        assert row["embedding"] == pytest.approx([0.1, 0, -2], rel=1e-6)
    assert [row["gold"] for row in rows] == [None, "cat"]
    assert rows[0]["utility"] == 0.5, "by the loop's strategy; what has a known answer is not ranked"
    assert intake.post(*both).status_code == 200, "known, with the same body"


def test_outputs_that_pass_request_no_push(database: Database) -> None:
    intake = Intake(database, SPEC.model_copy(update={"audit": 0.0, "holdout": 0.0}))
    assert intake.post(output(confidence=0.9)).json["outputs"][0]["state"] == "passed"
    assert intake.sql("select 1 from procrastinate_jobs") == []


def test_many_at_once_with_the_same_keys_store_each_once(intake: Intake) -> None:
    def submit(seed: int) -> tuple[int, int]:
        keys = [f"k{i}" for i in range(100)]
        random.Random(seed).shuffle(keys)
        answer = intake.post(*(output(key) for key in keys))
        return answer.status_code, answer.json["new"]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(submit, range(6)))
    assert {status for status, _ in answers} <= {200, 201}
    assert sum(new for _, new in answers) == intake.stored() == 100


# -- what is refused ---------------------------------------------------------------------------------------------


def test_refusals_have_their_status_and_say_what_would_do(intake: Intake) -> None:
    def status(method: str, path: str, **how: Any) -> tuple[int, str]:
        answer = intake.ask(method, path, **how)
        return answer.status_code, answer.json["error"]

    json_, ndjson = "application/json", "application/x-ndjson"
    for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}, {"Authorization": "ä"}):
        assert status("POST", URL, headers=wrong, json=output())[0] == 401
    assert status("POST", "/v1/loops/cats/outputs", json=output()) == (404, "no loop 'cats'; there are: pets")
    assert status("GET", "/v1/loops/%00")[0] == 404
    assert status("GET", f"{URL}/nothing")[0] == 404
    assert status("GET", "/v2")[0] == 404
    assert status("DELETE", URL)[0] == 405
    assert status("POST", URL, data=b"{}", content_type="text/plain")[0] == 415
    assert status("POST", URL, data=b"", content_type="application/json; charset=utf-16")[0] == 422
    assert status("POST", URL, data=b"{}", content_type=json_, headers={**HEADERS, "Content-Encoding": "br"})[0] == 415
    assert status("POST", URL, data=b" " * (8 << 20) + b" ", content_type=ndjson)[0] == 413
    assert status("POST", URL, data=b" " * (1 << 20) + b" ", content_type=json_)[0] == 413
    assert status("POST", URL, data=b"{}\n" * 5001, content_type=ndjson)[0] == 422
    assert status("POST", URL, data=b"\n\n", content_type=ndjson)[0] == 422
    assert status("POST", URL, json=output(probabilities={"cow": 1}))[0] == 422
    assert intake.stored() == 0


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
ANY = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=5), inner)))
FIELDS = dict.fromkeys((*output(), "label", "confidence", "result", "score", "group", "produced_at", "x"), ANY)
NEARLY = st.fixed_dictionaries(
    {}, optional={**FIELDS, "key": st.one_of(ANY, st.just("k")), "probabilities": st.one_of(ANY, st.just({"cat": 1}))}
).map(lambda changes: {**output("k"), **changes})
DATA = st.dictionaries(st.text(max_size=5), ANY).map(lambda data: output("k", data={"text": "x", **data}))
BODIES = st.one_of(
    st.binary(max_size=200),
    st.one_of(ANY, NEARLY, DATA).map(lambda value: json.dumps(value).encode()),
    st.one_of(NEARLY, DATA).map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace")),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(BODIES, min_size=1, max_size=3), st.booleans())
def test_whatever_comes_is_stored_whole_or_refused_and_the_next_request_works(
    intake: Intake, bodies: list[bytes], lines: bool
) -> None:
    before = intake.stored()
    kind = "application/x-ndjson" if lines else "application/json"
    answer = intake.ask("POST", URL, data=b"\n".join(bodies), content_type=kind)
    assert answer.status_code < 500
    assert intake.stored() - before == (answer.json["new"] if answer.status_code == 201 else 0)
    assert intake.post(output("sound")).status_code in (200, 201)
    assert intake.get(f"{URL}/sound").status_code == 200


# -- what is away ------------------------------------------------------------------------------------------------


@pytest.fixture
def line(database_url: str) -> Iterator[tuple[Line, Database]]:
    """A line to Postgres that can be cut, and a Database at the other end of it."""
    parts = urlsplit(database_url)
    assert parts.hostname
    line = Line(parts.hostname, parts.port or 5432)
    user = parts.netloc.rpartition("@")[0]
    url = parts._replace(netloc=f"{user}@127.0.0.1:{line.port}").geturl()
    with Database(url, wait_s=2.0) as database:
        yield line, database
    line.close()


def test_without_postgres_it_asks_to_come_again_and_then_works(line: tuple[Line, Database]) -> None:
    wire, database = line
    intake = Intake(database)
    assert intake.post(output("before")).status_code == 201
    wire.cut()
    away = intake.post(output("during"))
    assert (away.status_code, away.headers["Retry-After"]) == (503, "2")
    assert "Postgres" in away.json["error"]
    assert intake.get("/healthz").status_code == 200
    wire.mend()
    assert intake.post(output("before")).status_code == 200
    assert intake.post(output("during")).status_code == 201


def test_an_output_may_say_what_its_model_calls_the_labels(database: Database) -> None:
    xml = """<View><Text name="text" value="$text"/><Choices name="label" toName="text">
      <Choice value="Cat" predicted_values="kitty,tomcat"/><Choice value="Dog"/></Choices></View>"""
    spec = parse("pets", "feedback_loop: {trigger: model_confidence < 0.8, holdout: 0}", xml)
    intake = Intake(database, spec)
    said = output(probabilities={"kitty": 0.3, "tomcat": 0.3, "Dog": 0.4})
    assert intake.post(said).status_code == 201
    assert intake.post(output(probabilities={"Cat": 0.6, "Dog": 0.4})).json["known"] == 1
    stored = intake.get(f"{URL}/a/1").json
    assert (stored["model_label"], stored["model_confidence"]) == ("Cat", 0.6)
    assert intake.post(output("b", probabilities={"puma": 1.0})).status_code == 422


def test_what_an_output_says_of_its_origin_is_stored_and_read_back(intake: Intake) -> None:
    origin: dict[str, Any] = {"source": "bot", "trace": "run\n7", "step": "draft"}
    assert intake.post(output(**origin, meta={"tier": "gold", "n": [1]})).status_code == 201
    said = intake.get(f"{URL}/a/1").json
    assert {name: said[name] for name in origin} == origin
    assert said["spec_version"] == 1
    assert intake.sql("select source, trace, step, meta from outputs") == [
        {**origin, "meta": {"tier": "gold", "n": [1]}}
    ]
    assert intake.post(output(**origin, meta={"tier": "silver"})).status_code == 409
    assert intake.post(output("b")).status_code == 201
    assert intake.sql("select source, trace, step, meta from outputs where key = 'b'") == [
        dict.fromkeys(("source", "trace", "step", "meta"))
    ]
