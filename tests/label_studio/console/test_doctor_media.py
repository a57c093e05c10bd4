"""`labelloop doctor --media` with the real Label Studio: its storages, its own files, and a server that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from console.cli import main
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs
from tests.support.network.media_server import Media, media, png
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [cat, dog]
  holdout: 0.0
  audit: 0.0
  learner: none
  queue: {strategy: random, window: 50, audit: 0.0, holdout: 0.0}
"""
FORM = """<View><Image name="o" value="$m"/><Choices name="label" toName="o" choice="single-radio">
<Choice value="cat"/><Choice value="dog"/></Choices></View>"""


@pytest.fixture
def served() -> Iterator[Media]:
    with media() as found:
        yield found


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    spec = parse("photos", YAML, FORM)
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as made:
        with database.transaction() as conn:
            loops.register(conn, spec)
        submit(made, {"first": "data:image/svg+xml,%3Csvg/%3E"})
        made.push()  # the project is there
        yield made


def submit(loop: SyncLoop, addresses: dict[str, str]) -> None:
    made = [Output(key, {"m": address}, label="cat", confidence=0.5) for key, address in addresses.items()]
    with loop.database.transaction() as conn:
        outputs.insert(conn, loop.spec.name, [outputs.Row.of(one, lanes.place(one, loop.spec)) for one in made])


def doctor(loop: SyncLoop, *arguments: str, **settings: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit status, and the findings by a part of what they say."""
    env = {
        "LABELLOOP_DATABASE_URL": loop.database.url,
        "LABELLOOP_LABEL_STUDIO_URL": loop.settings.label_studio_url,
        "LABELLOOP_LABEL_STUDIO_TOKEN": loop.settings.label_studio_token,
        "LABELLOOP_FETCH_PRIVATE": "127.0.0.0/8",
        "LABELLOOP_DATA_DIR": "/nowhere",
        **settings,
    }
    result = CliRunner().invoke(main, ["doctor", "--media", "--json", *arguments], env=env)
    said = json.loads(result.stdout)
    assert said["status"] == result.exit_code
    return result.exit_code, {finding["says"]: finding for finding in said["findings"]}


def test_each_fault_is_one_sentence_with_its_repair(loop: SyncLoop, served: Media) -> None:
    ways = ["cors/a.png", "plain/a.png", "plain/b.png", "cors+404/a.png", "cors+html/a.png", "cors/a.big"]
    submit(loop, {way: served.at(way) for way in ways})
    status, found = doctor(loop)
    assert status == 1
    levels = {says: finding["level"] for says, finding in found.items()}
    page = loop.settings.label_studio_url
    cors = next(says for says in found if "by CORS" in says)
    assert cors.startswith("2 of 7 addresses, such as Image $m: http://127.0.0.1:")
    assert found[cors]["repair"] == f"have the server send `Access-Control-Allow-Origin: {page}`"
    assert {level for says, level in levels.items() if "404" in says or "web page" in says} == {"fault"}
    assert [level for says, level in levels.items() if "has 50 MB" in says] == ["hint"]
    assert levels["2 of 7 addresses of the sample can be read"] == "ok"

    status, found = doctor(loop, "--sample", "1", LABELLOOP_FETCH_PRIVATE="")
    assert status == 2, "nothing is known to be wrong, and not all could be looked at"


def test_the_address_of_the_annotators_page_decides(loop: SyncLoop, served: Media) -> None:
    """`labelloop` reaches Label Studio by another address than people do."""
    submit(loop, {"a": served.at("echo/a.png"), "b": "http://cdn.invalid/b.png"})
    status, found = doctor(loop, LABELLOOP_LABEL_STUDIO_PUBLIC_URL="https://label.example.org")
    assert status == 1
    assert any("names this machine itself (127.0.0.1)" in says for says in found)
    assert any("is plain http, which browsers refuse on the https page" in says for says in found)


@pytest.mark.parametrize("presign", [True, False])
def test_addresses_of_storages_are_resolved_by_label_studio(loop: SyncLoop, served: Media, presign: bool) -> None:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    for bucket in ("cors", "plain"):
        storage = {"project": loop.project_id, "bucket": bucket, "presign": presign, "s3_endpoint": served.url}
        loop.web.post("/api/storages/s3", json={**storage, **keys}).raise_for_status()
    addresses = {"fine": "s3://cors/a.png", "uncovered": "s3://other/a.png", "gone": "s3://cors/a.nothing"}
    submit(loop, {**addresses, "plain": "s3://plain/b.png", "google": "gs://other/a.png"})
    _, found = doctor(loop)
    says = "\n".join(found)
    assert "s3://other/a.png is in no storage of project" in says
    assert "its storages cover s3://cors, s3://plain" in says
    assert "gs://other/a.png is in no storage" in says
    gone = "does not exist: the server answers 404" if presign else "cannot be read by Label Studio from its storage"
    assert f"s3://cors/a.nothing {gone}" in says
    assert ("s3://plain/b.png may not be read" in says) is presign, "what Label Studio serves itself needs no CORS"
    fine = 2 if presign else 3
    assert f"{fine} of 6 addresses of the sample can be read" in found
    assert not [headers for _, headers in served.seen if loop.settings.label_studio_token in str(headers)]
    assert all("Origin" in headers for _, headers in served.seen) or not presign


def test_files_of_label_studio_itself(loop: SyncLoop) -> None:
    upload = {"file": ("p.png", png(), "image/png")}
    loop.web.post(f"/api/projects/{loop.project_id}/import", files=upload).raise_for_status()
    tasks = loop.web.get("/api/tasks", params={"project": loop.project_id}).json()["tasks"]
    (mine,) = [task["data"]["m"] for task in tasks if "upload" in str(task["data"].get("m"))]
    gone = mine.replace("p.png", "gone.png")
    submit(loop, {"mine": mine, "gone": gone, "local": "/data/local-files/?d=x/y.png"})
    submit(loop, {"whole": f"{loop.settings.label_studio_url}{mine}"})
    says = "\n".join(doctor(loop)[1])
    assert f"{gone} does not exist: Label Studio knows no such upload" in says
    assert "/data/local-files/?d=x/y.png is refused by Label Studio, which serves local files only with LOCAL_" in says
    assert "3 of 5 addresses of the sample can be read" in says

    submit(loop, {"relative": "/static/nothing.png", "up": "/data/upload/../../api/x"})
    says = "\n".join(doctor(loop)[1])
    assert "3 of 7 addresses, such as " in says
    assert "does not exist" in says
