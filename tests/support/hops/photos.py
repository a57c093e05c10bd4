"""A loop of photos behind addresses, each dark or light."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from tests.support.backend_factory import settings_for
from tests.support.network.picture_server import Pictures, pictures

FORM = (
    '<View><Image name="i" value="$photo.url"/><Choices name="label" toName="i">'
    '<Choice value="dark"/><Choice value="light"/></Choices></View>'
)


@pytest.fixture(name="served")
def _served() -> Iterator[Pictures]:
    with pictures() as found:
        yield found


@pytest.fixture(name="settings")
def _settings(database_url: str, tmp_path: Path) -> Settings:
    return replace(settings_for(database_url, tmp_path), fetch_private="127.0.0.1")


def spec_of(fetch: str, more: str = "", params: str = "{}") -> LoopSpec:
    learner = f'{{name: images, fetch: ["{fetch}"], params: {params}}}'
    yaml = f'feedback_loop:\n  trigger: "model_confidence < 0.9"\n  holdout: 0.3\n  learner: {learner}\n'
    return parse("photos", yaml + more, FORM)
