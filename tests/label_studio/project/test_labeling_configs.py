"""The labeling configs that we ship or generate, before the real Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from labelloop.spec.folder import load

if TYPE_CHECKING:
    from tests.support.servers import LabelStudio

LOOPS = Path(__file__).parents[3] / "labeling_configs"


@pytest.mark.parametrize("loop", ["digits", "tickets"])
def test_label_studio_takes_the_config(label_studio: LabelStudio, loop: str) -> None:
    spec = load(LOOPS / loop)
    forms = [spec.labels_xml]
    if spec.config.verdict is not None:
        forms.append(spec.with_labels(["yes", "no <&> \"'"]).labels_xml)
    for form in forms:
        answer = httpx.post(
            f"{label_studio.url}/api/projects/validate/",
            json={"label_config": form},
            headers={"Authorization": f"Token {label_studio.token}"},
            timeout=60,
        )
        assert answer.status_code == 204, answer.text
