"""The routes of feedback and of outcomes refuse each malformed case, and store nothing of it."""

from __future__ import annotations

import json
import uuid

import httpx
import pytest

from labelloop import Client, Output
from labelloop.store.database import Database
from tests.support.data.malformed import spoiled
from tests.support.network.sync_service import TOKEN

TABLES = ("annotation_versions", "feedback", "reviewers", "answers", "outcomes", "output_events")
GIVEN = json.dumps({"key": "bad", "reviewer_id": "anna", "approval": True, "comment": "miaow"}).encode()
BY_ID = json.dumps(
    {"model_output_id": str(uuid.UUID(int=0)), "reviewer_id": "anna", "approval": True, "comment": "miaow"}
).encode()
FEEDBACK = {
    **spoiled(GIVEN),
    "1e999 for a correction": GIVEN.replace(b"true", b"false").replace(b"\"comment\"", b"\"correction\"").replace(
        b'"miaow"', b"1e999"
    ),
    "an unknown label for a correction": GIVEN.replace(b"true", b"false").replace(b"comment", b"correction"),
    "a number for the approval": GIVEN.replace(b"true", b"1"),
    "a text for the approval": GIVEN.replace(b"true", b'"true"'),
    "a list for the comment": GIVEN.replace(b'"miaow"', b'["miaow"]'),
    "NUL in the reviewer": GIVEN.replace(b"anna", b"an\\u0000na"),
    "a line end in the reviewer": GIVEN.replace(b"anna", b"an\\nna"),
    "no reviewer": GIVEN.replace(b'"reviewer_id": "anna", ', b""),
    "a key with NUL": GIVEN.replace(b"bad", b"b\\u0000d"),
    "a comment that is too long": GIVEN.replace(b"miaow", b"x" * 10_001),
    "more than 256 KiB": GIVEN.replace(b"miaow", b"x" * (256 << 10)),
}  # fmt: skip
OUTCOMES = {
    **spoiled(b'{"fallback": "miaow", "deadline_at": "2026-01-01T00:00:00Z"}'),
    "a year beyond 9999": b'{"fallback": "cat", "deadline_at": "10000-01-01T00:00:00Z"}',
    "the time infinity": b'{"fallback": "cat", "deadline_at": "infinity"}',
}


@pytest.fixture(scope="module", autouse=True)
def _output(served: tuple[str, Database]) -> None:
    """The output `bad`, which waits for people."""
    with Client(served[0], TOKEN, loop="pets") as client:
        client.submit(Output(key="bad", data={"text": "x"}, probabilities={"cat": 0.6, "dog": 0.4}))


def rows(database: Database) -> dict[str, int]:
    with database.transaction() as conn:
        counted = {name: conn.execute(f"select count(*) as n from {name}").fetchone() for name in TABLES}
    return {name: row["n"] for name, row in counted.items() if row is not None}


@pytest.mark.parametrize(
    ("path", "name", "raw"),
    [
        *(("/v1/loops/pets/feedback", name, raw) for name, raw in FEEDBACK.items()),
        *(("/feedback/", name, raw) for name, raw in spoiled(BY_ID).items()),
        *(("/v1/loops/pets/outputs/bad/outcome", name, raw) for name, raw in OUTCOMES.items()),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_it_is_refused_with_its_field_and_nothing_is_stored(
    service: str, pets: Database, path: str, name: str, raw: bytes
) -> None:
    before = rows(pets)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    said = httpx.post(service + path, content=raw, headers=headers, timeout=60)
    assert said.status_code in (413, 422), said.text
    assert said.headers["Content-Type"] == "application/problem+json"
    assert said.json()["detail"]
    assert "path" in said.json()
    assert rows(pets) == before


def test_the_output_is_still_answered_by_correct_feedback(service: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    said = httpx.post(f"{service}/v1/loops/pets/feedback", content=GIVEN, headers=headers, timeout=60)
    assert (said.status_code, said.json()["answer"]) == (201, "cat")
