"""Hosted models: real subclasses of LabelStudioMLBase of both lines, each in its own environment."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from backend import models
from backend.learners import make
from backend.learners.others import deadline
from backend.learners.others import folder as folders
from backend.learners.others.form import answer_only
from backend.learners.others.learner_hosted import Hosted
from backend.learners.others.others import classes_of, predictions_of
from labelloop.errors import Failed, SpecError, Unreadable
from labelloop.labeling.form import generate_form
from tests.support.hosted.environments import HOSTED, line_1x, line_2x

pytestmark = pytest.mark.slow  # environments are built and processes started

TOPICS = {
    "billing": ["invoice", "refund", "charged", "card"],
    "login": ["password", "signin", "locked", "reset"],
    "shipping": ["parcel", "delivery", "tracking", "courier"],
}
NAMES = sorted(TOPICS)
FORM = generate_form(NAMES, ("approval", "correction", "comment"), {"text": "$text"})
Data = list[dict[str, object]]


def tickets(n: int = 60) -> tuple[Data, list[str]]:
    labels = [NAMES[i % 3] for i in range(n)]
    return [{"text": f"Hello, about my {TOPICS[label][i % 4]}"} for i, label in enumerate(labels)], labels


@dataclass
class Line:
    name: str
    python: Path

    @cached_property
    def shared(self) -> Hosted:
        """One that has learned, for tests that only ask it."""
        return self.fitted()

    def learner(self, **params: object) -> Hosted:
        own = {"model": "words:Words", "folder": str(HOSTED / f"words_{self.name}"), "python": str(self.python)}
        made = make("label-studio-ml", {"field": "text", "label_config": FORM, **own, **params})
        assert isinstance(made, Hosted)
        return made

    def fitted(self, **params: object) -> Hosted:
        data, labels = tickets()
        return self.learner(**params).fit(data, labels, np.random.default_rng(0))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    folder = tmp_path_factory.mktemp("environments")
    made = {"1x": Line("1x", line_1x(folder / "1x")), "2x": Line("2x", line_2x(folder / "2x"))}
    yield made
    for line in made.values():
        line.shared.close()


@pytest.fixture(params=["1x", "2x"])
def line(lines: dict[str, Line], request: pytest.FixtureRequest) -> Line:
    return lines[request.param]


@pytest.fixture
def modern(lines: dict[str, Line]) -> Line:
    return lines["2x"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the private folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_hosted_model_learns_and_says_labels_with_its_score(line: Line) -> None:
    data, labels = tickets()
    said = line.shared.predict(data)
    assert list(said.labels) == labels
    assert ((said.confidences > 1 / 3) & (said.confidences <= 1)).all()
    assert said.proba is not None
    np.testing.assert_allclose(said.proba.sum(axis=1), 1)
    assert [NAMES[column] for column in said.proba.argmax(axis=1)] == labels
    np.testing.assert_allclose(said.proba.max(axis=1), said.confidences)


def test_each_line_is_taught_in_its_other_way_too(lines: dict[str, Line]) -> None:
    data, labels = tickets(12)
    for learner in (lines["1x"].learner(model="words:ByEvent"), lines["2x"].learner(event="ANNOTATION_CREATED")):
        learner.fit(data, labels, np.random.default_rng(0))
        assert list(learner.predict(data[:3]).labels) == labels[:3]
    assert learner.estimator["version"] == "taught 12"


def test_its_version_serves_from_the_file_alone_and_versions_differ(line: Line, tmp_path: Path) -> None:
    data, labels = tickets()
    swapped = [NAMES[(NAMES.index(label) + 1) % 3] for label in labels]
    first, second = line.fitted(), line.learner().fit(data, swapped, np.random.default_rng(0))
    ids = [models.store(tmp_path, "texts", learner).id for learner in (first, second)]
    for learner in (first, second):
        learner.close()
    assert list(models.load(tmp_path, ids[0]).predict(data).labels) == labels
    assert list(models.load(tmp_path, ids[1]).predict(data).labels) == swapped
    assert list(models.load(tmp_path, ids[0]).predict(data).labels) == labels, "a rollback is a rollback"


def test_the_same_answers_give_the_same_bytes(line: Line, tmp_path: Path) -> None:
    assert models.store(tmp_path, "texts", line.fitted()) == models.store(tmp_path, "texts", line.fitted())


def test_an_item_is_judged_alike_alone_and_among_others(line: Line) -> None:
    data, _ = tickets()
    learner = line.shared
    among = learner.predict(data).confidences[3]
    np.testing.assert_array_equal(learner.predict(data[3:4]).confidences, [among])
    assert len(learner.predict([])) == 0


def test_fitting_again_forgets_what_was_learned_before(line: Line) -> None:
    data, labels = tickets()
    learner = line.fitted()
    kept = [i for i, label in enumerate(labels) if label != NAMES[0]]
    learner.fit([data[i] for i in kept], [labels[i] for i in kept], np.random.default_rng(0))
    assert NAMES[0] not in learner.predict(data).labels


def test_items_without_the_field_are_named_all_at_once(line: Line) -> None:
    data, labels = tickets()
    data[4], data[7] = {"other": 1}, {"other": 1}
    learner = line.learner()
    for use in (lambda: learner.check(data), lambda: learner.fit(data, labels, np.random.default_rng(0))):
        with pytest.raises(Unreadable, match=r"item 4: its field 'text' is missing \(and 1 more\)"):
            use()
    with pytest.raises(Failed, match="there is none"):
        learner.fit([], [], np.random.default_rng(0))


def test_its_process_knows_nothing_of_ours_and_leaves_nothing(
    modern: Line, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELLOOP_DATABASE_URL", "postgresql://secret")
    learner = modern.fitted()
    learner.predict(tickets()[0])
    process = child_of(learner)
    environ = Path(f"/proc/{process}/environ").read_bytes()
    assert b"LABELLOOP_" not in environ
    assert f"MODEL_DIR={temporary}".encode() in environ
    assert not next(temporary.iterdir()).stat().st_mode & 0o077, "its folder is private"
    learner.close()
    assert not Path(f"/proc/{process}").exists()
    assert not list(temporary.iterdir())


def test_when_we_are_killed_it_ends_too_and_its_folder_goes(modern: Line, temporary: Path) -> None:
    opening = {"folder": str(HOSTED / "words_2x"), "model": "words:Words", "label_config": answer_only(FORM).xml}
    asks = f"""
import os
from backend.hosted.process import Process
process = Process({str(modern.python)!r}, 1 << 32, lambda _: {opening!r})
process.ask("predict", 60, tasks=[])
print(process._child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    environ = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", asks], env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: has_ended(int(done.stdout)) and not list(temporary.iterdir()))


def test_a_killed_process_is_started_again(line: Line) -> None:
    data, labels = tickets()
    learner = line.shared
    learner.predict(data)
    os.kill(child_of(learner), signal.SIGKILL)
    assert list(learner.predict(data).labels) == labels


def test_of_an_item_on_which_it_fails_it_says_nothing(modern: Line) -> None:
    learner = modern.shared
    said = learner.predict([{"text": "my parcel"}, {"text": "fail here"}, {"text": "my card"}])
    assert list(said.labels) == ["shipping", None, "billing"]
    two: Data = [{"text": "fail"}, {"text": "fail too"}]
    with pytest.raises(Failed, match="ValueError: it fails on this one"):
        learner.predict(two)
    with deadline.within(60):
        assert list(learner.predict(two).labels) == [None, None]
        assert list(learner.predict([*two, {"text": "my card"}]).labels) == [None, None, "billing"]


def test_an_item_that_ends_the_process_costs_no_other_its_label(modern: Line) -> None:
    learner = modern.shared
    said = learner.predict([{"text": "my parcel"}, {"text": "crash now"}, {"text": "my card"}])
    assert list(said.labels) == ["shipping", None, "billing"]
    with pytest.raises(Failed, match="ended, with status 3"):
        learner.predict([{"text": "crash now"}, {"text": "crash again"}])


def test_a_model_that_takes_too_long_is_ended(modern: Line) -> None:
    learner = modern.fitted(timeout_s=0.5)
    with pytest.raises(Failed, match=r"longer than 0.5 s to predict and was ended"):
        learner.predict([{"text": "sleep well"}, {"text": "sleep on"}])


def test_who_is_in_a_hurry_gets_nothing_rather_than_wait(modern: Line) -> None:
    learner = modern.shared
    assert list(learner.predict([{"text": "my parcel"}]).labels) == ["shipping"]
    child = child_of(learner)
    with deadline.within(0.2):
        assert list(learner.predict([{"text": "sleep well"}]).labels) == [None]
        assert list(learner.predict([{"text": "my parcel"}]).labels) == [None], "it is busy with the other"
    assert child_of(learner) == child, "it goes on"
    learner.close()


def test_a_model_that_hangs_is_ended_though_all_who_ask_are_in_a_hurry(modern: Line) -> None:
    learner = modern.fitted(timeout_s=3.0)
    assert list(learner.predict([{"text": "my parcel"}]).labels) == ["shipping"]
    child = child_of(learner)
    with deadline.within(0.2):
        assert list(learner.predict([{"text": "sleep well"}]).labels) == [None]

    def says() -> list[str | None]:
        with deadline.within(0.2):
            return list(learner.predict([{"text": "my parcel"}]).labels)

    wait_until(lambda: says() == ["shipping"])
    assert has_ended(child)
    learner.close()


def test_who_is_forgotten_is_ended_at_once(modern: Line) -> None:
    learner = modern.fitted()
    learner.predict([{"text": "my parcel"}])
    child = child_of(learner)
    gc.disable()
    try:
        del learner
        assert has_ended(child)
    finally:
        gc.enable()


def test_memory_is_bounded(modern: Line) -> None:
    with pytest.raises(Failed, match=r"ended|cannot be made"):
        modern.fitted(memory_gib=0.005)


def test_a_version_goes_with_the_code_it_was_made_by(modern: Line, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    shutil.copytree(HOSTED / "words_2x", folder, ignore=shutil.ignore_patterns("__pycache__"))
    version = models.store(tmp_path, "texts", modern.fitted(folder=str(folder))).id
    source = (folder / "words.py").read_text()
    (folder / "words.py").write_text(source + "\n# edited\n")
    with pytest.raises(Failed, match=r"is not the code that this version was made by .* put it back, or retrain"):
        models.load(tmp_path, version)
    (folder / "words.py").write_text(source)
    assert list(models.load(tmp_path, version).predict([{"text": "my parcel"}]).labels) == ["shipping"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"model": "words:Missing"}, "AttributeError"),
        ({"model": "nothing:Words"}, "No module named 'nothing'"),
        ({"model": "json:JSONDecoder"}, "no subclass of label_studio_ml.model.LabelStudioMLBase"),
        ({"folder": "/nowhere"}, "there is no folder '/nowhere'"),
        ({"python": "/nowhere/python"}, "/nowhere/python cannot be started: No such file"),
    ],
)
def test_a_model_that_cannot_be_made_is_refused_in_words(modern: Line, params: dict[str, str], reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        modern.fitted(**params)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"folder": "words"}, "must be a whole path"),
        ({"model": "words"}, "'module:Class'"),
        ({"event": "NOW"}, "one of START_TRAINING"),
        ({"batch": 0}, "above 0"),
    ],
)
def test_parameters_are_checked(modern: Line, params: dict[str, object], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        modern.learner(**params)


def test_an_answer_that_has_left_the_form_is_named(modern: Line) -> None:
    with pytest.raises(Failed, match="the answer 'gone' has no place in the labeling config any more"):
        modern.learner().fit([{"text": "a"}], ["gone"], np.random.default_rng(0))


def test_a_model_is_shown_the_control_that_holds_the_answer_and_no_verdict() -> None:
    shown = answer_only(FORM)
    assert [control.name for control in shown.controls] == ["correction"]
    assert shown.data_fields == ("text",)
    assert "labelloop_label" not in shown.xml
    with pytest.raises(SpecError, match="people only approve here"):
        answer_only(generate_form(NAMES, ("approval",), {"text": "$text"}))


@pytest.mark.parametrize(
    ("control", "answers", "classes"),
    [
        ('<Choices name="label" toName="t" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>',
         ['["a","b"]', '["b"]', "[]"], ("a", "b")),
        ('<Labels name="label" toName="t"><Label value="a"/><Label value="b"/></Labels>',
         ['[[0,2,"a"],[3,5,"b"]]', "[]"], ("a", "b")),
        ('<Number name="label" toName="t"/>', ["3.5", "4"], ()),
        ('<Rating name="label" toName="t"/>', ["3", "5"], ()),
    ],
)  # fmt: skip
def test_structured_answers_go_to_a_model_and_come_back_as_they_were(
    control: str, answers: list[str], classes: tuple[str, ...]
) -> None:
    config = answer_only(f'<View><Text name="t" value="$text"/>{control}</View>')
    learner = Hosted("text", config.xml, "a:B", "/nowhere")
    tasks = learner._answered([{"text": "ab cd"}] * len(answers), answers)
    echoed = [{"result": task["annotations"][0]["result"], "score": 0.5} for task in tasks]
    said = predictions_of(config, classes_of(config, answers), echoed)
    assert list(said.labels) == answers
    assert (said.confidences.tolist(), said.proba) == ([0.5] * len(answers), None)
    assert classes_of(config, answers) == classes


def test_what_a_model_leaves_must_be_files_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to("/etc/passwd")
    with pytest.raises(Failed, match="'link', which is no ordinary file"):
        folders.pack(tmp_path / "out")
    (tmp_path / "out" / "link").unlink()
    (tmp_path / "out" / "large").write_bytes(bytes(2000))
    monkeypatch.setattr(folders, "MAX_BYTES", 1000)
    with pytest.raises(Failed, match="the most that a version keeps"):
        folders.pack(tmp_path / "out")
    for name in ("../escape", "/etc/x", "a/../../b", ""):
        with pytest.raises(Failed, match="outside its folder"):
            folders.unpack({name: np.zeros(1, np.uint8)}, tmp_path / "in")


def child_of(learner: Hosted) -> int:
    assert learner._process is not None
    assert learner._process._child is not None
    return learner._process._child.pid


def has_ended(pid: int) -> bool:
    """Even where nobody has asked yet of what it died."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
