"""The detector of the template `detector`, hosted with both lines of label-studio-ml: it learns boxes from answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from backend import models
from backend.learners import Learner
from backend.learners.of_spec import learner_of
from console.files import make
from labelloop.answers.item_scores import item_score
from labelloop.errors import SpecError
from labelloop.labeling import kinds
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from tests.support.hosted import detector
from tests.support.hosted.environments import line_1x, line_2x, with_numpy

TESTED = range(1000, 1040)


def answered(spec: LoopSpec, seeds: range) -> tuple[list[dict[str, Any]], list[str]]:
    """Return pictures and their true boxes."""
    made = [detector.pictures().output(seed) for seed in seeds]
    return [one["data"] for one, _ in made], [kinds.canonical(spec.config.answer, truth) for _, truth in made]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("line", [line_1x, line_2x])
def test_more_answers_make_a_better_detector(line: Callable[[Path, str], Path], tmp_path: Path) -> None:
    spec, _ = make.from_template(tmp_path / "shapes", "detector")
    with_numpy(line, tmp_path / "shapes" / "env")
    data, truths = answered(spec, TESTED)

    def taught(answers: int) -> Learner:
        return learner_of(spec).fit(*answered(spec, range(answers)), np.random.default_rng(0))

    def quality(learner: Learner) -> float:
        said = learner.predict(data)
        assert said.evidence is not None
        for label, evidence, confidence in zip(said.labels, said.evidence, said.confidences, strict=True):
            assert label is not None
            assert len(evidence["boxes"]) == label.count('"box"')
            assert confidence <= min(evidence["boxes"], default=1.0)
        return fmean(item_score(spec.config, t, p) for t, p in zip(truths, said.labels, strict=True))

    few, many, again = taught(5), taught(60), taught(5)
    with_few, with_many = quality(few), quality(many)
    assert with_few + 0.15 < with_many
    assert with_many > 0.75
    assert models.store(tmp_path, "shapes", few) == models.store(tmp_path, "shapes", again), "byte for byte"
    for learner in (few, many, again):
        learner.close()  # type: ignore[attr-defined]


def test_paths_in_the_folder_of_the_loop_are_whole_paths_in_its_spec(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    spec, _ = make.from_template(folder, "detector")
    assert spec.learner.params == {
        "model": "detector:Detector",
        "folder": str(folder),
        "python": str(folder / "env/bin/python"),
    }
    other = tmp_path / "other"
    other.mkdir()
    (other / "labels.xml").write_text(spec.labels_xml)
    (other / "loop.yaml").write_text((folder / "loop.yaml").read_text().replace('"./"', '"code"'))
    with pytest.raises(SpecError, match=r"begins with / , or with \./ for the folder of the loop; it is 'code'"):
        learner_of(load(other))
