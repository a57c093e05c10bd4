"""The findings of doctor in a Label Studio project: its settings, form, webhook and ML backend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.doctor import answers, calls, files, project
from console.doctor.findings import Level
from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form import generate_form
from labelloop.labelstudio.answers import Project
from labelloop.reading.ids import ProjectId
from labelloop.store.questions.health import LabelsGone, Refused
from tests.support.data.findings import URL, is_fault
from tests.support.sync_loop import XML

WELL = Project(
    id=ProjectId(7),
    title="pets",
    description="",
    instruction="",
    labels_xml=XML,
    sampling="Uncertainty sampling",
    overlap=1,
    model_version="pipeline",
    shows_predictions=True,
    tasks=3,
    overlap_first=False,
    evaluates_people=False,
    takes_empty=False,
    skip_queue="REQUEUE_FOR_OTHERS",
)


HOOK = calls.Hook("http://sync:1/hooks/pets", True, {"X": "secret"}, {"ANNOTATION_CREATED", "TASKS_DELETED"})


BACKEND = calls.Backend("labelloop", URL, "CO")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sampling": "Sequential sampling"}, "Sequential sampling"),
        ({"overlap": 3}, "answered by 3 annotators"),
        ({"overlap_first": True}, "several annotators"),
        ({"evaluates_people": True}, "known answer"),
    ],
)
def test_whatever_comes_before_the_ranking_is_a_fault(change: dict[str, object], says: str) -> None:
    assert project.sampling("pets", WELL, 1).level is Level.OK
    assert is_fault(project.sampling("pets", replace(WELL, **change), 1), says)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_version": ""}, "shows no version"),
        ({"model_version": "v9"}, "version 'v9'"),
        ({"model_version": "labelloop"}, "title of an ML backend"),
        ({"shows_predictions": False, "model_version": ""}, "hidden"),
    ],
)
def test_the_shown_version_is_ours_and_shown(change: dict[str, object], says: str) -> None:
    assert project.shown_version("pets", WELL, "pipeline", ["labelloop"]).level is Level.OK
    wrong = replace(WELL, **change)  # type: ignore[arg-type]
    assert is_fault(project.shown_version("pets", wrong, "pipeline", ["labelloop"]), says)


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ('<Choice value="dog"/>', "", "in 'label' the label 'dog' is gone"),
        ('<Choice value="dog"/>', '<Choice value="hound"/>', "the label 'dog' is now 'hound'"),
        ('<Choice value="dog"/>', '<Choice value="dog"/><Choice value="ant"/>', "the label 'ant' is new"),
        ("$text", "$body", "the field $text is now $body"),
        ('Choices name="label"', 'Choices name="labels"', "the Choices 'label' is called 'labels'"),
        ("single-radio", "single", "takes 'single'"),
        ("<View>", '<View className="wide">', "only parts without an answer differ"),
        ("</Choices>", '</Choices><TextArea name="comment" toName="text"/>', "new TextArea 'comment'"),
        ("</Choices>", "", "cannot be read"),
        ("single-radio", "multiple", "takes 'multiple'"),
    ],
)
def test_a_changed_form_is_named_by_its_difference(was: str, now: str, says: str) -> None:
    assert project.form("pets", XML, XML).level is Level.OK
    assert is_fault(project.form("pets", XML, XML.replace(was, now)), says)


def test_a_form_that_the_loop_had_before_is_not_sent_yet_and_nobody_changed_it() -> None:
    new = XML.replace("dog", "hound")
    found = project.form("pets", new, XML, [XML, new])
    assert is_fault(found, "the form is not sent yet: `labelloop push --loop pets` sends it")
    assert is_fault(project.form("pets", new, XML.replace("cat", "ant"), [XML, new]), "changed in Label Studio")


def test_outputs_whose_label_is_gone_are_counted_in_a_hint() -> None:
    assert project.labels_gone("pets", LabelsGone({}, 0, 0, 0)).level is Level.OK
    found = project.labels_gone("pets", LabelsGone({"dog": 3, "eel": 2}, outputs=4, answers=0, open_tasks=1))
    assert found.level is Level.HINT
    assert found.says == "4 stored outputs and 1 open task have a label that is gone: 'dog', 'eel'"


def test_reasons_of_outputs_that_label_studio_refused_are_shown() -> None:
    assert answers.refused("pets", []).level is Level.OK
    rows = [Refused("a", "no field\n  'text'", 3), Refused("b", "x" * 900, 1)]
    assert is_fault(answers.refused("pets", rows), "refused 4 outputs. 3 like a: no field 'text'; 1 like b: xxx")


def test_mistakes_in_the_files_of_loops_are_a_fault(tmp_path: Path) -> None:
    for name, trigger in (("good", "model_confidence < 1"), ("bad", "model_confidenc < 1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "loop.yaml").write_text(f'feedback_loop: {{trigger: "{trigger}", labels: [a, b]}}')
    assert is_fault(files.files(tmp_path, None, ()), "loop 'bad': line 1, ")
    assert files.files(tmp_path, "good", ()).level is Level.OK


def test_labels_are_gone_in_answers_of_every_kind() -> None:
    def gone(form: str, answer: str, known: tuple[str, ...] = ()) -> set[str]:
        control = LabelingConfig.parse(f'<View><Image name="i" value="$i"/>{form}</View>').answer
        return kinds.labels_gone(control, answer, known or control.labels)

    boxes = '<RectangleLabels name="b" toName="i"><Label value="car"/></RectangleLabels>'
    box = '[{"box":[1,1,2,2],"label":"sign"},{"box":[1,1,2,2],"label":"car"},{"box":[1,1,2,2]}]'
    note, topics = '<TextArea name="note" toName="i"/>', '<Taxonomy name="t" toName="i"><Choice value="a"/></Taxonomy>'
    assert gone(boxes, box) == {"sign"}
    assert gone(note, "anything") == set()
    assert gone(topics, '["a","b"]') == {"b"}
    wanted = f'{{"b":{box},"note":"sign","t":["a","c"]}}'
    parsed = LabelingConfig.parse(f'<View><Image name="i" value="$i"/>{boxes}{note}{topics}</View>', ("b", "note", "t"))
    assert kinds.labels_gone(parsed.answer, wanted, ()) == {"sign", "c"}


def test_a_control_that_is_gone_is_named() -> None:
    full = generate_form(["cat", "dog"], ["approval", "correction", "comment"], {"text": "$text"})
    less = generate_form(["cat", "dog"], ["approval", "correction"], {"text": "$text"})
    assert is_fault(project.form("pets", full, less), "the TextArea 'comment' is gone")


@pytest.mark.parametrize(
    ("hooks", "says"),
    [
        ([], "no webhook"),
        ([replace(HOOK, active=False)], "is switched off"),
        ([replace(HOOK, headers={})], "does not carry our secret"),
        ([replace(HOOK, actions=["TASKS_DELETED"])], "is not called for ANNOTATION_CREATED"),
        ([replace(HOOK, actions=["*", *HOOK.actions])], "is called for * too"),
        ([replace(HOOK, url="http://old:1/hooks/pets")], "calls http://old:1/hooks/pets, ours is"),
        ([HOOK, replace(HOOK, url="http://old:1/hooks/pets")], "also calls"),
        ([HOOK, HOOK], "2 webhooks call"),
    ],
)
def test_a_webhook_is_there_once_and_as_we_made_it(hooks: list[calls.Hook], says: str) -> None:
    assert is_fault(calls.webhook("pets", hooks, HOOK, "/hooks/pets"), says)


def test_a_webhook_of_somebody_else_is_none_of_ours() -> None:
    other = calls.Hook("http://elsewhere/x", True, {}, {"*"})
    assert calls.webhook("pets", [other, HOOK], HOOK, "/hooks/pets").level is Level.OK
    assert calls.webhook("pets", [other], None, "/hooks/pets").level is Level.HINT


@pytest.mark.parametrize(
    ("backends", "says"),
    [
        ([], "not connected"),
        ([replace(BACKEND, title="other")], "not connected"),
        ([replace(BACKEND, url="http://old:1")], "asks at http://old:1"),
        ([replace(BACKEND, state="DI")], "does not reach it"),
        ([replace(BACKEND, state="ER", error="timed out")], "timed out"),
    ],
)
def test_our_ml_backend_is_connected_and_reached(backends: list[calls.Backend], says: str) -> None:
    assert is_fault(calls.ml_backend("pets", backends, "labelloop", URL), says)
    assert calls.ml_backend("pets", [BACKEND], "labelloop", URL).level is Level.OK
    assert calls.ml_backend("pets", backends, "labelloop", None).level is Level.HINT


@pytest.mark.parametrize(
    ("refused", "repair"),
    [
        ("URL resolves to a reserved network address (block: 127.0.0.0/8)", "BANNED_SUBNETS"),
        ("Can't resolve hostname sync.internal", "can resolve"),
        ("Enter a valid URL.", "with a dot"),
    ],
)
def test_an_address_that_label_studio_refuses_has_a_cause(refused: str, repair: str) -> None:
    hook, ml = calls.webhook_address("pets", URL, refused), calls.ml_address("pets", URL, refused)
    assert is_fault(hook, refused)
    assert is_fault(ml, refused)
    assert repair in hook.repair
    assert repair in ml.repair
    assert calls.webhook_address("pets", URL, None).level is Level.OK


def test_each_of_the_two_protections_is_named_where_it_refuses() -> None:
    refused = "URL resolves to a reserved network address"
    assert "SSRF_PROTECTION_ENABLED=false" in calls.webhook_address("pets", URL, refused).repair
    assert "ML_BLOCK_LOCAL_IP=false" in calls.ml_address("pets", URL, refused).repair
