"""Simulation: curves that mean what they say, on sets small enough to know what must come out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.linear_model import LogisticRegression

from console.cli import main as cli
from console.simulate import SimulateOptions, defaults, files, run, simulate, variants
from console.simulate.curves import Curve, Needed, needed, ratio
from console.simulate.labelled import EMBEDDINGS, Labelled, split_set
from console.simulate.learning import Linear
from console.simulate.picture import needed_words
from labelloop.errors import UsageError
from labelloop.selection.select import DIVERSITY

CONFIGS = Path(__file__).parents[3] / "labeling_configs"
Vectors = npt.NDArray[np.float64]


def quiet(_: str) -> None:
    """Says nothing."""


def blobs(n: int = 600, classes: int = 4, seed: int = 0, rare: bool = False) -> Labelled:
    """Points around as many centres as there are classes: most of them are easy, the borders are not."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random(n) < 0.03, 1, 0) if rare else rng.integers(classes, size=n)
    vectors = rng.normal(0, 1, (n, 8)) + 3 * np.eye(8)[codes]
    # Texts that are unlike each other: near-duplicates would come last.
    rows = [({"text": rng.bytes(8).hex()}, f"class {code}", None) for code in codes]
    return split_set("blobs", EMBEDDINGS, "text", rows, seed, vectors)


def sentences(path: Path, n: int = 120, split: bool = False) -> Path:
    rng = np.random.default_rng(0)
    words = {"fruit": "apple pear plum cherry".split(), "tool": "hammer saw drill chisel".split()}
    lines = ["text,label" + (",split" if split else "")]
    for i in range(n):
        label = ("fruit", "tool")[i % 2]
        said = " ".join(rng.choice(words[label], 2)) + f" number {i}"
        lines.append(f"{said},{label}" + (f",{'test' if i % 3 == 0 else 'train'}" if split else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_uncertainty_needs_fewer_labels_than_random_where_one_class_is_rare() -> None:
    report = simulate(
        blobs(3000, rare=True),
        SimulateOptions(variants("margin:0,margin:0.5,random"), seeds=3, batch=10, budget=200),
        quiet,
    )
    assert report["data"]["score"] == "F1 of 'class 1'"
    for name in ("margin:0", "margin:0.5"):
        need = report["strategies"][name]["labels_for"]["0.95"]
        assert need["high"] is not None
        assert need["against_random"] is None or need["against_random"] < 0.6


@pytest.mark.slow
def test_more_labels_are_better_on_average() -> None:
    report = simulate(blobs(), SimulateOptions(variants("margin,random"), seeds=6, batch=10, budget=100), quiet)
    for found in report["strategies"].values():
        means = [point["mean"] for point in found["curve"]]
        assert means[-1] > means[0] + 0.05
        assert min(np.diff(means)) > -0.03
        assert all(point["low"] <= point["mean"] <= point["high"] for point in found["curve"])


def test_the_same_seeds_give_the_same_report_and_all_strategies_begin_alike() -> None:
    options = SimulateOptions(variants("margin,entropy:0,random"), seeds=2, batch=10, budget=40)
    first, second = (simulate(blobs(), options, quiet) for _ in range(2))
    assert first == second
    assert len({json.dumps(found["curve"][0]) for found in first["strategies"].values()}) == 1


@pytest.mark.slow
def test_digits_are_built_in_and_all_is_written(tmp_path: Path) -> None:
    options = SimulateOptions(variants("margin,random"), seeds=2, batch=20, budget=80, out=tmp_path / "new")
    report = run(files.digits(), options, quiet)
    assert json.loads((tmp_path / "new" / "curves.json").read_text()) == report
    assert set(report) == {"data", "settings", "full", "cold_start", "strategies"}
    assert report["data"]["score"] == "accuracy"
    assert report["full"]["score"] > 0.95
    margin = report["strategies"][f"margin:{DIVERSITY:g}"]
    assert set(margin) == {"strategy", "diversity", "curve", "labels_for", "difference_to_random"}
    assert [point["labels"] for point in margin["curve"]] == [20, 40, 60, 80]
    assert set(margin["curve"][0]) == {"labels", "mean", "low", "high", "scores"}
    assert set(margin["labels_for"]) == {"0.90", "0.95"}
    assert len(margin["labels_for"]["0.90"]["per_seed"]) == 2
    with Image.open(tmp_path / "new" / "curves.png") as image:
        assert min(image.size) > 400
        colours = image.convert("RGB").getcolors(1 << 24) or []
    assert len(colours) > 50
    assert max(n for n, _ in colours) < 0.98 * image.width * image.height


def test_few_rows_are_learned_from_exactly_as_by_the_plain_way() -> None:
    """The detour over inner products is only faster."""
    labelled = blobs(300)
    wide = np.random.default_rng(1).normal(size=(300, 200)) + np.eye(200)[labelled.codes]
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    plain = LogisticRegression(C=10, max_iter=1000)
    rows = labelled.pool[:40]
    classes, proba = Linear(wide, labelled.codes, plain).learn(rows, 0)
    plain.fit(wide[rows], labelled.codes[rows])
    assert list(classes) == list(plain.classes_)
    np.testing.assert_allclose(proba, plain.predict_proba(wide), atol=1e-9)


def test_equal_embeddings_are_learned_from_too() -> None:
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(30, 100)), 10, axis=0).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [({"text": rng.bytes(8).hex()}, "ab"[i // 10 % 2], None) for i in range(300)]
    labelled = split_set("equal", EMBEDDINGS, "text", rows, 0, vectors)
    report = simulate(labelled, SimulateOptions(variants("margin:0"), seeds=1, batch=30, budget=90), quiet)
    assert report["strategies"]["margin:0"]["curve"][-1]["mean"] > 0.9


@pytest.mark.slow
def test_a_batch_of_one_label_is_followed_by_another_at_random() -> None:
    rows = [({"text": f"{i}"}, "rare" if i % 40 == 0 else "usual", None) for i in range(400)]
    vectors = np.array([[float(i % 40 == 0), 1.0, i / 400] for i in range(400)])
    labelled = split_set("skewed", EMBEDDINGS, "text", rows, 0, vectors)
    report = simulate(labelled, SimulateOptions(variants("margin:0"), seeds=5, batch=2, budget=100), quiet)
    curve = report["strategies"]["margin:0"]["curve"]
    assert curve[0]["mean"] == 0
    assert curve[-1]["mean"] > 0.9


def test_a_goal_that_was_not_reached_is_reported_and_not_estimated() -> None:
    curve = Curve((10, 20, 30), np.array([[0.5, 0.8, 0.9], [0.5, 0.6, 0.7], [0.2, 0.91, 0.2]]))
    assert curve.reached(0.9) == [30, None, 20]
    need = needed(curve, 1.0)["0.90"]
    assert (need.median, need.low, need.high) == (30, 20, None)
    assert Needed(0.9, (None, 20)).median is None
    assert needed_words(need.median, need.low, need.high, 30) == "30 (20 to more than 30)"
    assert needed_words(None, None, None, 1000) == "not within 1,000"
    assert ratio([10, 20, 30], [40, 40, None]) == 0.5
    assert ratio([10, 20, 30], [40, None, None]) is None


def test_texts_of_the_test_part_are_not_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"word{i} {'x' if i % 2 else 'y'},{'ab'[i % 2]},{'test' if i < 8 else 'train'}" for i in range(40)]
    lines += ["word0 y,a,train", ",a,train", "word,,train", "word,a,dev"]
    path.write_text("text,label,split\n" + "\n".join(lines) + "\n")
    found = files.read(path)
    assert (len(found.pool), len(found.test)) == (32, 8)
    assert found.left_out == {"no item or no label": 2, "neither train nor test": 1, "also in the test set": 1}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_same_rows_are_the_same_set_in_any_format(tmp_path: Path, ending: str) -> None:
    path = sentences(tmp_path / "a.csv", split=True)
    if ending == "jsonl":
        head, *lines = path.read_text().splitlines()
        path = tmp_path / "a.jsonl"
        path.write_text("\n".join(json.dumps(dict(zip(head.split(","), x.split(","), strict=True))) for x in lines))
    found = files.read(path)
    assert (len(found.pool), len(found.test), found.classes) == (80, 40, ("fruit", "tool"))


def test_embeddings_are_learned_from_in_place_of_the_text(tmp_path: Path) -> None:
    path = sentences(tmp_path / "a.csv", split=True)
    good = np.eye(2)[np.arange(120) % 2]
    np.save(tmp_path / "a.npy", good)
    found = files.read(path, embeddings=tmp_path / "a.npy")
    assert found.learner == EMBEDDINGS
    options = SimulateOptions(variants("margin"), seeds=1, batch=10, budget=20)
    assert simulate(found, options, quiet)["full"]["score"] == 1


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.ones((3, 4)), "3 rows, the data 120"),
        (np.ones(120), "array of shape"),
        (np.full((120, 2), np.nan), "NaN or infinity in 120 rows"),
        (np.array(["a"] * 120)[:, None], "needed are numbers"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(tmp_path: Path, vectors: Vectors, said: str) -> None:
    path = sentences(tmp_path / "a.csv")
    np.save(tmp_path / "a.npy", vectors)
    with pytest.raises(UsageError, match=said):
        files.read(path, embeddings=tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "missing.csv"], "there is no file missing.csv"),
        (["--data", "a.csv", "--text", "body"], "--text is 'body'; the columns of a.csv are: text, label"),
        (["--data", "a.csv", "--strategies", "magin"], "no query strategy 'magin'; there are: "),
        (["--data", "a.csv", "--strategies", "vote_entropy"], "vote_entropy reads evidence.committee"),
        (["--data", "a.csv", "--strategies", "margin:2"], "a number from 0 to 1"),
        (["--data", "a.csv", "--strategies", "margin,margin:0.5", "--diversity", "0.5"], "listed twice"),
        (["--data", "a.csv", "--batch", "100"], "90 rows for training, fewer than two batches of 100"),
        (["--data", "a.csv", "--budget", "20", "--batch", "20"], "covers only the random first batch"),
        (["--data", "a.csv", "--embeddings", "none.npy"], "none.npy cannot be read"),
        (["--data", "a.csv", "--loop", "nosuch"], "no loop 'nosuch'"),
        (["--data", "a.txt"], "unknown file type .txt; there are: .csv, .tsv, .jsonl, .parquet"),
        (["--data", "one.csv"], "all 2 rows have the label 'a'"),
        (["--data", "empty.csv"], "cannot be read as CSV"),
        (["--data", "bad.jsonl"], "bad.jsonl, line 2"),
        (["--data", "digits", "--text", "image"], "is built in"),
    ],
)
def test_an_impossible_request_is_refused_with_a_request_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sentences(tmp_path / "a.csv")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "one.csv").write_text("text,label\nb,a\nc,a\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "label": "b"}\n{\n')
    done = CliRunner().invoke(cli, ["simulate", *options])
    assert done.exit_code == 2, done.output
    assert said in done.output


def test_the_command_prints_a_table_and_writes_the_picture(tmp_path: Path) -> None:
    path = sentences(tmp_path / "a.csv")
    picture, figures = tmp_path / "a.png", tmp_path / "a.json"
    options = ["--seeds", "2", "--batch", "5", "--budget", "20", "--out", str(picture), "--json", str(figures)]
    done = CliRunner().invoke(cli, ["simulate", "--data", str(path), *options])
    assert done.exit_code == 0, done.output
    assert "margin" in done.output
    assert "ratio to random" in done.output
    assert "cold start: the first 5 labels are random" in done.output
    assert picture.stat().st_size > 10_000
    assert list(json.loads(figures.read_text())["strategies"])[-1] == "random"


def test_a_loop_gives_its_learner_and_its_strategy() -> None:
    given = defaults(CONFIGS, "digits")
    assert (given.learner, given.field) == ("images", "image")
    assert given.strategies == "margin,random"
