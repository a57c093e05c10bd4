"""Pictures in the storage of the real Label Studio, read by a run."""

from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np
import pytest

from labelloop.pictures.kept import with_pictures
from labelloop.process.settings import Settings
from labelloop.selection.features import pixels
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.hops.photos import FORM, spec_of
from tests.support.hops.photos import _served as _served
from tests.support.hops.photos import _settings as _settings
from tests.support.network.picture_server import Pictures, jpeg
from tests.support.servers import LabelStudio


@pytest.mark.parametrize("presign", [True, False])
def test_label_studio_resolves_the_address_of_its_storage_and_of_its_own_files(
    database: Database, settings: Settings, served: Pictures, label_studio: LabelStudio, presign: bool
) -> None:
    """A storage that presigns answers with a redirect, another one with the picture itself."""
    url, token = label_studio.url, label_studio.token
    settings = replace(settings, label_studio_url=url, label_studio_token=token)
    spec = spec_of("s3://scans/", "  queue: {window: 1}\n")
    with httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, timeout=60) as web:
        form = {"title": "pictures", "label_config": FORM.replace("$photo.url", "$photo")}
        project = web.post("/api/projects", json=form).raise_for_status().json()["id"]
        storage = {"project": project, "bucket": "scans", "presign": presign, "s3_endpoint": served.url}
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        web.post("/api/storages/s3", json={**storage, **keys}).raise_for_status()
        upload = {"file": ("p.jpg", jpeg(30), "image/jpeg")}
        web.post(f"/api/projects/{project}/import", files=upload).raise_for_status()
        mine = web.get("/api/tasks", params={"project": project}).json()["tasks"][0]["data"]["photo"]
        with database.transaction() as conn:
            loops.register(conn, spec)
            conn.execute(
                "insert into projects (loop, label_studio_url, project_id, signing_key) values (%s, %s, %s, '')",
                (spec.name, url, project),
            )
        data = [{"photo": {"url": "s3://scans/x/40.jpg"}}, {"photo": {"url": "s3://other/1.jpg"}}]
        found, other = with_pictures(database, settings, spec, data)
        assert np.mean(pixels(found["photo.url"])[:4]) < 0.5, "dark on the left"
        assert other == data[1], "not of the bucket that the loop names"
        refused = with_pictures(database, settings, spec_of("s3://"), data)[1]["photo.url"]
        assert refused.why == "cannot be fetched: in Label Studio has the status 404"
        (own,) = with_pictures(database, settings, spec_of("/data/"), [{"photo": {"url": mine}}])
        assert np.mean(pixels(own["photo.url"])[:4]) < 0.5
        (local,) = with_pictures(database, settings, spec_of("/data/"), [{"photo": {"url": "/data/local-files/?d=x"}}])
        assert "in Label Studio has the status 4" in local["photo.url"].why
        tokens = [headers for headers in served.headers if token in str(headers)]
        assert not tokens, "the storage never sees Label Studio's token"
