"""Our export in a real Label Studio, and its own exports back into a loop: the same answers of the same people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from console.cli import main
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.data.imported import FORMS, loop
from tests.support.servers import LabelStudio

PEOPLE = ("formats-ann@example.org", "formats-ben@example.org")
ITEMS: dict[str, list[dict[str, Any]]] = {
    "pets": [
        {"key": "p/1", "data": {"text": "It purrs 🐈"}, "label": "cat", "confidence": 0.6, "answers": [
            {"answer": "cat", "person": PEOPLE[0], "answered_at": "2025-03-09T22:16:08Z"},
            {"answer": "dog", "person": PEOPLE[1], "answered_at": "2025-03-10T22:16:08Z"}]},
        {"key": "p/2", "data": {"text": "It swims"}, "answers": [
            {"answer": "eel", "person": PEOPLE[0], "answered_at": "2025-03-11T22:16:08Z"}]},
    ],
    "names": [{"key": "n/1", "data": {"text": "Köln 🎉 Anna"}, "label": [[0, 4, "PER"]], "answers": [
        {"answer": [[0, 4, "LOC"], [7, 11, "PER"]], "person": PEOPLE[1], "answered_at": "2025-03-09T22:16:08Z"}]}],
    "boxes": [{"key": "b/1", "data": {"image": "http://127.0.0.1:9/a.png", "width": 200, "height": 100}, "answers": [
        {"answer": [{"box": [10, 20, 30, 40], "label": "car"}], "person": PEOPLE[0],
         "answered_at": "2025-03-09T22:16:08Z"}]}],
}  # fmt: skip


@pytest.fixture
def run(database: Database, database_url: str, tmp_path: Path) -> Any:
    """Runs a command; each form has a loop with answers, and an empty one."""
    env = {"LABELLOOP_DATABASE_URL": database_url, "LABELLOOP_DATA_DIR": str(tmp_path)}

    def go(*words: str | Path) -> str:
        result = CliRunner().invoke(main, [*map(str, words)], env=env)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    for name, items in ITEMS.items():
        with database.transaction() as conn:
            for one in (name, f"{name}-whole", f"{name}-min"):
                loops.register(conn, loop(one, name))
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, items)))
        go("import", "jsonl", path, "--loop", name)
    return go


def answers(database: Database, name: str) -> set[tuple[Any, ...]]:
    with database.transaction() as conn:
        rows = conn.execute(
            """
            select o.data->>'text' as text, r.email, f.label from feedback f
            join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
            where o.loop = %(loop)s
            """,
            {"loop": name},
        ).fetchall()
    return {tuple(row.values()) for row in rows}


@pytest.mark.parametrize("name", [*ITEMS])
def test_label_studio_takes_our_export_and_gives_the_same_answers_back(
    run: Any, database: Database, label_studio: LabelStudio, tmp_path: Path, name: str
) -> None:
    for email in PEOPLE:
        label_studio.sign_up(email)
    exported = json.loads(run("export", "--loop", name, "--format", "label-studio", "--each-person"))
    with httpx.Client(
        base_url=label_studio.url, headers={"Authorization": f"Token {label_studio.token}"}, timeout=60
    ) as web:
        project = (
            web.post("/api/projects", json={"title": "formats", "label_config": FORMS[name]}).raise_for_status().json()
        )
        at = f"/api/projects/{project['id']}"
        web.post(f"{at}/import", json=exported).raise_for_status()
        users = {one["email"]: one["id"] for one in web.get("/api/users").raise_for_status().json()}
        logins = [word for email in PEOPLE for word in ("--name", f"{users[email]}={email}")]
        for kind in ("JSON", "JSON_MIN"):
            raw = web.get(f"{at}/export", params={"exportType": kind, "download_all_tasks": "true"}).raise_for_status()
            (tmp_path / kind).write_bytes(raw.content)
        whole = {"predictions": {"only_id": False}, "annotations__completed_by": {"only_id": False}}
        snapshot = web.post(f"{at}/exports", json={"serialization_options": whole}).raise_for_status().json()
        raw = web.get(f"{at}/exports/{snapshot['id']}/download", params={"exportType": "JSON"}).raise_for_status()
        (tmp_path / "snapshot").write_bytes(raw.content)
    run("import", "label-studio", tmp_path / "snapshot", "--loop", f"{name}-whole")
    run("import", "label-studio", tmp_path / "JSON_MIN", "--loop", f"{name}-min", *logins)
    # The usual export has numbers in place of predictions; its answers are known already.
    said = json.loads(run("import", "label-studio", tmp_path / "JSON", "--loop", f"{name}-whole", "--json", *logins))
    assert (said["outputs"], said["answers"]) == (0, 0)
    assert said["answers_known"] == sum(len(item["answers"]) for item in ITEMS[name])
    before = answers(database, name)
    assert before
    assert answers(database, f"{name}-whole") == before
    assert answers(database, f"{name}-min") == before
    with database.transaction() as conn:
        keys = {
            into: {
                row["key"] for row in conn.execute("select key from outputs where loop = %(l)s", {"l": into}).fetchall()
            }
            for into in (name, f"{name}-whole")
        }
        claims = {
            into: {
                row["label"]
                for row in conn.execute("select label from outputs where loop = %(l)s", {"l": into}).fetchall()
            }
            for into in (name, f"{name}-whole")
        }
    assert keys[f"{name}-whole"] == keys[name]
    assert claims[f"{name}-whole"] == claims[name]
