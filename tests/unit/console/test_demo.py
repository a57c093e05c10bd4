"""The demo's input and its words: parts that do not overlap, files that will not do, and no claim without evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from console.demo.figures import of_gate, verdict
from console.demo.items import Items, digits, texts, weak_outputs
from console.demo.measure import served_label
from labelloop.errors import UsageError
from labelloop.labeling.results import preselect
from labelloop.selection.features import open_image
from labelloop.spec.folder import load

LOOPS = Path(__file__).parents[3] / "labeling_configs"


@pytest.fixture(scope="module")
def scans() -> Items:
    return digits(seed=0)


def test_the_handful_the_pool_and_the_test_part_have_nothing_in_common(scans: Items) -> None:
    parts = [set(scans.few), set(scans.pool), set(scans.test)]
    assert [len(part) for part in parts] == [20, 1_400, 377]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_the_pipeline_knows_every_label_and_gives_probabilities(scans: Items) -> None:
    outputs, test_labels = weak_outputs(scans, seed=0)
    assert len(outputs) == 1_400
    assert len(test_labels) == 377
    for output in outputs[:50]:
        assert output.probabilities is not None
        assert set(output.probabilities) == set(scans.labels)
        assert sum(output.probabilities.values()) == pytest.approx(1)


def test_a_scan_can_be_read_back_from_its_picture(scans: Items) -> None:
    picture = open_image(scans.data[7]["image"]).resize((8, 8), Image.Resampling.BOX)
    grey = (255 - np.asarray(picture, dtype=float)) * 16 / 255
    assert np.abs(grey - load_digits().images[7]).max() < 0.05


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "words,kind\n" + "".join(f"text {i},{i % 2}\n" for i in range(30)),
            "at least 2 labels and 20 texts per label",
        ),
        ("words,other\na,b\n", "--label is 'kind'; the columns of .* are: words, other"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_file_that_will_not_do_is_refused_in_words(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(content)
    with pytest.raises(UsageError, match=says):
        texts(file, "words", "kind", "text", seed=0)


def test_texts_are_taken_once_and_without_the_empty_ones(tmp_path: Path) -> None:
    file = tmp_path / "my tickets.csv"
    rows = [f"text number {i},{'ab'[i % 2]}" for i in range(60)]
    file.write_text("\n".join(["words,kind", *rows, *rows[:5], ",a", "no label,"]) + "\n")
    items = texts(file, "words", "kind", "text", seed=0)
    assert len(items.keys) == 60
    assert items.labels == ("a", "b")
    assert items.keys[0] == "my_tickets-000000"
    assert items.data[0] == {"text": "text number 0"}


@pytest.mark.parametrize(
    ("ours", "says"), [(0.95, "paid:"), (0.85, "does not show whether"), (0.70, "did not pay"), (None, "is unknown")]
)
def test_active_learning_is_compared_with_the_range_of_random_orders(ours: float | None, says: str) -> None:
    last = {
        "challenger_test_accuracy": ours, "random_test_accuracy": 0.85, "random_low": 0.8, "random_high": 0.9
    }  # fmt: skip
    assert says in verdict([last])


def test_the_gate_is_judged_by_what_serves_after_each_round() -> None:
    rows = [(0.60, None, False), (0.60, 0.61, False), (0.60, 0.80, False), (0.78, 0.78, True), (0.76, 0.76, True)]
    names = ("test_accuracy", "challenger_test_accuracy", "promoted")
    rounds = [dict(zip(names, row, strict=True)) for row in rows]
    assert of_gate(rounds, 0.60) == {"rounds": 5, "near_best": 2, "harmful": 1}
    assert of_gate(rounds[3:4], 0.80) == {"rounds": 1, "near_best": 1, "harmful": 1}


def test_the_served_label_is_read_from_the_correction_of_a_form_with_a_verdict() -> None:
    config = load(LOOPS / "tickets").with_labels(["billing", "other"]).config
    assert served_label(config, preselect(config, "billing", None)) == "billing"
    assert served_label(config, preselect(config, None, None)) is None
