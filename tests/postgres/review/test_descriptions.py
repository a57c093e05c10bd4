"""The name, tags and note of a version, and the download of its model file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend.report.runs import run_report
from backend.report.versions import version_report
from tests.support.review.review_house import XSS, House, csrf


def described(client: FlaskClient, version: str, **form: str) -> TestResponse:
    page = client.get(f"/review/versions/{version}")
    seen = re.search(r'name="seen" value="(\d+)"', page.text)
    assert seen is not None
    return client.post(f"/review/versions/{version}/description", data={"csrf": csrf(page), "seen": seen[1], **form})


def test_a_version_is_named_tagged_and_noted_and_every_change_is_on_record(house: House, judged: UUID) -> None:
    client = house.logged_in()
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    stale = client.get(f"/review/versions/{version}")
    assert described(client, version, name="Sevens", tags="audited, eu,,audited", note="one\r\ntwo").status_code == 303
    page = client.get(f"/review/versions/{version}").text
    assert "<h1>Sevens, version" in page
    assert re.findall(r"<li>([^<]+)</li>", page.partition('class="tags"')[2])[:2] == ["audited", "eu"]
    late = {"csrf": csrf(stale), "seen": "0", "name": "Mine"}
    assert client.post(f"/review/versions/{version}/description", data=late).status_code == 409
    unseen = client.post(f"/review/versions/{version}/description", data={**late, "seen": ""})
    assert unseen.status_code == 409, "a form that does not say what it has seen has seen nothing"
    assert described(client, version, name=XSS[:60], tags="<b>", note=XSS).status_code == 303
    page = client.get(f"/review/versions/{version}").text
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "Sevens; tags: audited, eu; one" in page, "what it was called before"
    for path in ("loops/digits", f"runs/{judged}", "compare", ""):
        assert "<script>alert" not in client.get(f"/review/{path}").text
    assert "&lt;script&gt;" in client.get("/review/loops/digits").text
    with house.database.transaction() as conn:
        report = version_report(conn, version)
        assert [d["by"] for d in report["descriptions"]] == ["mira", "mira"]
        assert report["descriptions"][1]["note"] == "one\ntwo"


def test_only_who_may_decide_describes_a_version_and_no_other_site_does(house: House, judged: UUID) -> None:
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    otto, mira = house.logged_in("otto"), house.logged_in()
    path = f"/review/versions/{version}/description"
    page = otto.get(f"/review/versions/{version}")
    assert "description" not in page.text
    assert otto.post(path, data={"csrf": csrf(page), "seen": "0", "name": "x"}).status_code == 403
    assert mira.post(path, data={"seen": "0", "name": "x"}).status_code == 400
    assert described(mira, version, name="x" * 61).status_code == 400
    assert described(mira, version, note="a\0b").status_code == 400
    api = f"/v1/review/versions/{version}/description"
    client = house.client()
    assert client.post(api, json={"name": "x"}, headers=house.bearer("otto")).status_code == 403
    unreadable: list[object] = [[], {"name": 3}, {"tags": "x"}, {"tags": [3]}, {"note": []}, {"name": "\ud800"}]
    for wrong in unreadable:
        assert client.post(api, json=wrong, headers=house.bearer()).status_code == 400
    done = client.post(api, json={"name": "Sevens", "tags": ["eu"]}, headers=house.bearer()).get_json()
    assert (done["called"], done["tags"], done["note"]) == ("Sevens", ["eu"], None)
    assert client.post("/v1/review/versions/zz/description", json={}, headers=house.bearer()).status_code == 404


def test_a_person_who_may_decide_downloads_the_model_file_as_stored(house: House, judged: UUID) -> None:
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    otto, mira = house.logged_in("otto"), house.logged_in()
    assert otto.get(f"/review/versions/{version}/file").status_code == 403
    assert "Download the model" not in otto.get(f"/review/versions/{version}").text
    path = f"/v1/review/versions/{version[:12]}/file"
    assert house.client().get(path, headers=house.bearer("otto")).status_code == 403
    for answer in (mira.get(f"/review/versions/{version}/file"), house.client().get(path, headers=house.bearer())):
        assert answer.status_code == 200
        assert answer.is_streamed
        assert hashlib.sha256(answer.data).hexdigest() == version
        assert answer.headers["Content-Disposition"] == f"attachment; filename={version}.skops"
        assert answer.headers["Content-Length"] == str(len(answer.data))
        assert answer.headers["Content-Type"] == "application/zip"
        assert answer.headers["ETag"] == f'"{version}"'
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    part = mira.get(f"/review/versions/{version}/file", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data) == (206, b"PK\x03\x04")
    assert mira.get("/review/versions/zz/file").status_code == 404


def test_a_damaged_model_does_not_leave_under_its_name(house: House, judged: UUID, tmp_path: Path) -> None:
    with house.database.transaction() as conn:
        version = run_report(conn, judged)["challenger"]["version"]
    client = house.client(models_dir=tmp_path)
    path = f"/v1/review/versions/{version}/file"
    assert client.get(path, headers=house.bearer()).status_code == 404
    (tmp_path / f"{version}.skops").write_bytes(b"PK something else")
    answer = client.get(path, headers=house.bearer())
    assert answer.status_code == 404
    assert "damaged or was changed" in answer.get_json()["error"]
