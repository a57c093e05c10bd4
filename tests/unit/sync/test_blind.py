"""Draw of the outputs that are shown without a prelabel, and their tasks."""

from __future__ import annotations

import pytest

from labelloop.errors import SpecError
from labelloop.queue import blind
from labelloop.queue.lanes import Lane
from labelloop.queue.prelabel import Prelabelled, prelabel_result
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec

KEYS = [f"item-{i}" for i in range(4_000)]


def loop(more: str = "", labels_xml: str = "") -> LoopSpec:
    lines = "" if labels_xml else ", labels: [pass, fail]"
    return parse("pets", f"feedback_loop: {{trigger: model_confidence < 0.8{lines}{more}}}", labels_xml)


def test_a_hash_of_the_key_draws_the_share_and_a_larger_share_draws_the_same_ones_and_more() -> None:
    spec = loop(", queue: {blind: 0.3}")
    drawn = {share: {key for key in KEYS if blind.is_drawn(spec, key, share)} for share in (0.0, 0.3, 0.5, 1.0)}
    assert drawn[0.3] < drawn[0.5] < drawn[1.0] == set(KEYS)
    assert not drawn[0.0]
    assert len(drawn[0.3]) == pytest.approx(1_200, abs=100)


def test_only_a_loop_with_a_judge_has_blind_answers_by_default_and_not_in_the_rule_lane() -> None:
    assert {blind.share(loop(), lane) for lane in Lane} == {0.0}
    judge = loop(", judge: {positive: pass}")
    assert {lane for lane in Lane if blind.share(judge, lane) == 1.0} == set(Lane) - {Lane.RULE}
    assert blind.share(judge, Lane.RULE) == 0.0
    assert {blind.share(loop(", judge: {positive: pass}, queue: {blind: 0.5}"), lane) for lane in Lane} == {0.5}
    assert {blind.share(loop(", queue: {blind: 0}"), lane) for lane in Lane} == {0.0}


def test_the_generated_form_of_a_loop_with_blind_tasks_does_not_show_the_answer_of_the_pipeline() -> None:
    assert loop().config.verdict is not None
    for more in (", queue: {blind: 0.1}", ", judge: {positive: pass}"):
        spec = loop(more)
        assert spec.config.verdict is None
        assert "labelloop_label" not in spec.labels_xml


def test_a_blind_task_has_no_prelabel_of_the_pipeline_and_none_of_a_champion() -> None:
    spec = loop(", queue: {blind: 0.5}")
    for champion in ("pipeline", "abcdef012345"):
        shown = Prelabelled("pass", champion, 1.0, "pass", None, {"pass": 0.99, "fail": 0.01}, blind=True)
        assert prelabel_result(spec, shown) == []


def test_what_cannot_be_blind_is_refused_with_the_reason() -> None:
    verdict = """<View><Text name="text" value="$text"/><Choices name="verdict" toName="text" choice="single-radio">
    <Choice value="approve"/><Choice value="reject"/></Choices><Choices name="correction" toName="text"
    choice="single-radio"><Choice value="pass"/><Choice value="fail"/></Choices></View>"""
    with pytest.raises(SpecError, match=r"queue\.blind: the form asks whether the pipeline's answer is correct"):
        loop(", queue: {blind: 0.1}", verdict)
    with pytest.raises(SpecError, match=r"judge\.positive: no label 'pas' \(did you mean 'pass'\?\)"):
        loop(", judge: {positive: pas}")
    with pytest.raises(SpecError, match=r"judge\.floor: should be less than 1, not 1\.2"):
        loop(", judge: {positive: pass, floor: 1.2}")
    with pytest.raises(SpecError, match=r"queue\.blind: .*must name one: add correction to `fields` of the action"):
        loop(", queue: {blind: 0.1}, actions: [{fields: [approval]}]")
    with pytest.raises(SpecError, match=r"queue\.blind: should be less than or equal to 1"):
        loop(", queue: {blind: 50}")
    number = "<View><Text name='text' value='$text'/><Number name='n' toName='text'/></View>"
    with pytest.raises(SpecError, match="judge: a judge gives one label, and the answer is"):
        loop(", judge: {positive: pass}, learner: none", number)


def test_the_keys_are_younger_than_stored_specs() -> None:
    assert b"" != loop().sha256() != loop(", queue: {blind: 0.1}").sha256()
    stored = loop().to_json()
    del stored["judge"], stored["queue"]["blind"]
    assert LoopSpec.from_json(stored).sha256() == loop().sha256()


def test_the_form_that_people_read_has_a_hash_of_its_own() -> None:
    spec = loop(", judge: {positive: pass}")
    same = spec.model_copy(update={"trigger": "model_confidence < 0.5", "holdout": 0.5})
    assert blind.form_sha256(same) == blind.form_sha256(spec)
    for change in ({"instruction": "Read twice"}, {"definitions": {"pass": "polite"}}, {"answer": ("other",)}):
        assert blind.form_sha256(spec.model_copy(update=change)) != blind.form_sha256(spec)
