"""Model files that an earlier release wrote still load and predict.

A skops file holds module paths and class names (TRUSTED), parameters and attributes of the estimator. So a rename in
backend/learners that a stored file notices makes this test fail. The files in old_models/ were written once and are
never written again; each is a learner fitted to twelve items, half of them good and half of them bad.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import skops.io

from backend import models
from backend.learners import embedding

FILES = Path(__file__).with_name("old_models")
ITEMS: list[dict[str, object]] = [{"t": "bad thing", "n": 0.0, "w": "y"}, {"t": "good thing", "n": 1.01, "w": "x"}]
VERSIONS = {
    "63fa2b3a24": ("text", ["bad", "good"]),
    "ac4c71f22c": ("incremental", ["bad", "good"]),
    "16d2457939": ("estimator", ["bad", "good"]),
    "ebcdf99668": ("committee", ["bad", "good"]),
    "2c45d6f318": ("multilabel", ["[]", '["x"]']),
    "c1b661d5c0": ("numbers", ["0", "1"]),
    "647f6dc551": ("spans", ["[]", '[[0,4,"x"]]']),
}
"""First digits of the file's name to the learner's name and what it predicts for ITEMS."""


@pytest.mark.parametrize("begins", VERSIONS)
def test_a_file_of_an_earlier_release_loads_and_predicts(begins: str) -> None:
    (file,) = FILES.glob(f"{begins}*.skops")
    learner = models.load(FILES, file.stem)
    assert (learner.name, learner.predict(ITEMS).labels) == VERSIONS[begins]


def test_an_embedding_of_an_earlier_release_loads() -> None:
    """Without its folder, which lies outside the file."""
    found = skops.io.loads((FILES / "embedding.skops").read_bytes(), trusted=list(models.TRUSTED))
    assert isinstance(found, embedding.Embedding)
    assert (found.folder, found.sha256, found.width_) == ("/models/folder", "a" * 64, 8)
