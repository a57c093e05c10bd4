"""Hosted models: real subclasses of LabelStudioMLBase of both lines, each in its own environment."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from backend import models
from backend.learners.others import folder as folders
from backend.learners.others.form import answer_only
from backend.learners.others.learner_hosted import Hosted
from backend.learners.others.others import classes_of, predictions_of
from labelloop.errors import Failed, SpecError, Unreadable
from labelloop.labeling.form import generate_form
from tests.support.data.every_kind import FAMILIES
from tests.support.hosted.environments import HOSTED
from tests.support.hosted.lines import FORM, NAMES, Line, tickets


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


@pytest.mark.slow
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


@pytest.mark.slow
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
    with pytest.raises(Failed, match="there are none"):
        learner.fit([], [], np.random.default_rng(0))


def test_a_version_goes_with_the_code_it_was_made_by(modern: Line, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    shutil.copytree(HOSTED / "words_2x", folder, ignore=shutil.ignore_patterns("__pycache__"))
    version = models.store(tmp_path, "texts", modern.fitted(folder=str(folder))).id
    source = (folder / "words.py").read_text()
    (folder / "words.py").write_text(source + "\n# edited\n")
    with pytest.raises(Failed, match=r"is not the code that this version was made by .* restore it, or retrain"):
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
    with pytest.raises(Failed, match="the answer 'gone' is no longer possible in the labeling config"):
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


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_a_hosted_model_learns_and_predicts_answers_of_every_kind(lines: dict[str, Line], kind: str) -> None:
    family = FAMILIES[kind]
    learner = lines["2x"].learner(
        model="recalls:Recalls", label_config=family.xml, field=family.field, answer=",".join(family.answer)
    )
    data = [family.data(n) for n in range(len(family.answers))]
    learner.fit(data, family.texts, np.random.default_rng(0))
    said = learner.predict([*data, family.data(9)])
    empty = {"spans": "[]", "labels": "[]", "regions": "[]", "form": "{}"}.get(kind)
    assert list(said.labels) == [*family.texts, empty]
    assert said.confidences.tolist()[:3] == [0.8] * 3
    learner.close()
