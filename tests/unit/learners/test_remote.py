"""Remote models: what is asked over HTTP, what counts as an answer, and servers that are slow, busy or wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from backend import models
from backend.learners import make
from backend.learners.others import chat, deadline
from backend.learners.others.learner_remote import Remote
from backend.learners.others.wire import _pause
from labelloop.errors import Failed, SpecError, Unreachable, Unreadable
from labelloop.labeling.form import generate_form
from tests.support.data.every_kind import FAMILIES
from tests.support.network.chat_server import KEY, ChatServer, chat_server

LABELS = ["ham", "spam"]
FORM = generate_form(LABELS, ("approval", "correction"), {"text": "$text"})
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server() as found:
        yield found


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, server: ChatServer) -> None:
    monkeypatch.setenv("CHAT_KEY", KEY)
    server.asked.clear()
    server.bodies.clear()
    server.free.clear()


def remote(server: ChatServer, **params: object) -> Remote:
    own = {"url": server.url, "model": "m-1", "key_env": "CHAT_KEY"}
    made = make("remote", {"field": "text", "label_config": FORM, **own, **params})
    assert isinstance(made, Remote)
    return made


def zero_shot(server: ChatServer, **params: object) -> Remote:
    return remote(server, **params).fit([], [], RNG(0))


def items(*texts: str) -> list[dict[str, object]]:
    return [{"text": text} for text in texts]


def test_without_an_answer_it_labels_with_the_probability_of_what_it_said(server: ChatServer) -> None:
    learner = zero_shot(server)
    said = learner.predict(items("ham and eggs", "spam", 'spam, in "json" please'))
    assert list(said.labels) == ["ham", "spam", "spam"]
    np.testing.assert_allclose(said.confidences, 0.9)
    assert said.proba is not None
    np.testing.assert_allclose(said.proba, [[0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    assert learner.classes == ("ham", "spam")
    body = server.bodies[0]
    assert (body["model"], body["temperature"]) == ("m-1", 0)
    assert body["messages"][0]["content"].endswith("\nham\nspam")
    assert len(learner.predict([])) == 0


def test_an_answer_that_is_no_label_is_none_and_costs_no_other(server: ChatServer) -> None:
    said = zero_shot(server).predict(items("neither", "malformed spam", "long spam", "spam"))
    assert list(said.labels) == [None, None, None, "spam"]
    assert said.proba is not None
    np.testing.assert_allclose(said.proba[0], 0.5)


def test_without_log_probabilities_nothing_is_known_and_samples_tell(server: ChatServer) -> None:
    said = zero_shot(server, logprobs=False).predict(items("spam"))
    assert (list(said.labels), said.confidences.tolist(), said.proba) == (["spam"], [0.0], None)
    assert "logprobs" not in server.bodies[-1]
    said = zero_shot(server, samples=4).predict(items("spam varies"))
    assert (list(said.labels), said.confidences.tolist()) == (["spam"], [0.75])
    assert server.bodies[-1]["temperature"] == 1.0


def test_a_busy_server_is_asked_again(server: ChatServer) -> None:
    assert list(zero_shot(server).predict(items("busy with spam")).labels) == ["spam"]
    assert server.asked["busy with spam"] == 3


def test_a_broken_server_is_unreachable_after_a_few_tries(server: ChatServer) -> None:
    with pytest.raises(Unreachable, match=r"answers 500: .*out of order"):
        zero_shot(server).predict(items("broken"))
    assert server.asked["broken"] == 4
    with deadline.within(30):
        assert list(zero_shot(server).predict(items("broken", "spam")).labels) == [None, "spam"]


def test_a_slow_server_is_unreachable_and_keeps_nobody_in_a_hurry(server: ChatServer) -> None:
    with pytest.raises(Unreachable, match=r"does not answer within 0\.3 s"):
        zero_shot(server, timeout_s=0.3).predict(items("slow spam"))
    learner = zero_shot(server, at_once=2)
    learner.predict(items("spam"))
    with deadline.within(0.5):
        assert list(learner.predict(items("slow spam", *["slow ham"] * 20)).labels) == [None] * 21
    assert server.asked.total() <= 2 + 2, "who waits no more is not asked for"


def test_no_more_requests_go_out_at_once_than_are_allowed() -> None:
    with chat_server() as own:
        zero_shot(own, at_once=2).predict(items(*["spam"] * 12))
        assert own.most_together <= 2


def test_a_server_that_is_not_there_is_unreachable() -> None:
    learner = make("remote", {"field": "text", "label_config": FORM, "url": "http://127.0.0.1:9", "model": "m"})
    with pytest.raises(Unreachable, match="cannot be reached"):
        learner.fit([], [], RNG(0)).predict(items("spam"))


def test_a_refusal_of_every_item_fails_in_the_servers_words(server: ChatServer) -> None:
    with pytest.raises(Failed, match=r"refuses the request, 400: .*context is too long"):
        zero_shot(server).predict(items("long", "long too"))


def test_the_key_is_neither_stored_nor_said(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    learner = zero_shot(server)
    learner.predict(items("spam", "neither"))
    version = models.store(tmp_path, "texts", learner)
    assert KEY.encode() not in models.verify(tmp_path, version.id)
    monkeypatch.setenv("CHAT_KEY", wrong := "sk-another-key")
    with pytest.raises(Failed, match=r"401: .*Bearer \*\*\*") as raised:
        learner.predict(items("spam"))
    monkeypatch.delenv("CHAT_KEY")
    with pytest.raises(Failed, match=r"not set: CHAT_KEY, which learner\.params names"):
        learner.predict(items("spam"))
    assert KEY not in caplog.text
    assert wrong not in caplog.text + str(raised.value)


def test_examples_are_drawn_from_the_answers_and_are_the_version(server: ChatServer, tmp_path: Path) -> None:
    data, labels = items("a", "b", "c", "d", "e"), ["ham", "ham", "ham", "ham", "spam"]
    learner = remote(server, shots=2).fit(data, labels, RNG(0))
    learner.predict(items("spam"))
    shown = [(m["role"], m["content"]) for m in server.bodies[-1]["messages"][1:]]
    assert [role for role, _ in shown] == ["user", "assistant", "user", "assistant", "user"]
    assert {shown[1][1], shown[3][1]} == {"ham", "spam"}, "one of each label first"
    again, other, none = (
        models.store(tmp_path, "texts", remote(server, shots=n).fit(data, labels, RNG(0))) for n in (2, 3, 0)
    )
    assert models.store(tmp_path, "texts", learner) == again
    assert len({again.id, other.id, none.id}) == 3
    models.load(tmp_path, again.id).predict(items("ham"))
    assert [(m["role"], m["content"]) for m in server.bodies[-1]["messages"][1:-1]] == shown[:-1]


def test_items_that_cannot_be_read_are_named(server: ChatServer) -> None:
    learner = zero_shot(server)
    data: list[dict[str, object]] = [{"text": "spam"}, {"text": ["spam"]}, {"other": 1}]
    for use in (
        lambda: learner.check(data),
        lambda: learner.predict(data),
        lambda: learner.fit(data, ["ham"] * 3, RNG(0)),
    ):
        with pytest.raises(Unreadable, match=r"item 1: its field 'text' is not a text \(and 1 more\)"):
            use()
    free = generate_form([], ("correction",), {"text": "$text"})
    with pytest.raises(Failed, match=r"the form has none, and the answers fewer than 2"):
        remote(server, label_config=free).fit([], [], RNG(0))


def of_kind(server: ChatServer, kind: str, **params: object) -> Remote:
    family = FAMILIES[kind]
    asks = {"label_config": family.xml, "answer": ",".join(family.answer), "field": "say"}
    return remote(server, **asks, **params).fit([], [], RNG(0))


@pytest.mark.parametrize("kind", sorted(set(FAMILIES) - {"pairwise"}))
def test_a_chat_endpoint_answers_forms_of_every_kind(server: ChatServer, kind: str) -> None:
    family = FAMILIES[kind]
    data = [family.data(n) | {"say": f"{n} answers {text}"} for n, text in enumerate(family.texts)]
    data.append(family.data(9) | {"say": "9 answers {unfinished" if kind != "text" else "9 answers  "})
    said = of_kind(server, kind).predict(data)
    assert list(said.labels) == [*family.texts, None]
    np.testing.assert_allclose(said.confidences, [0.9, 0.9, 0.9, 0])
    assert said.proba is None
    told = server.bodies[0]["messages"][0]["content"]
    for part in family.config.answer.parts:
        assert f'"{part.name}"' in told
    for label in family.config.answer.labels:
        assert f'"{label}"' in told


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("spans", '[[0,400,"org"]]'),
        ("spans", '[[0,4,"place"]]'),
        ("order", '["a","b"]'),
        ("order", '["a","b","z"]'),
        ("regions", '[{"box":[90,10,20,20],"label":"car"}]'),
        ("number", "7"),
        ("date", '"2024-05-06"'),
        ("form", '{"sky":"snow"}'),
        ("labels", "```json []```"),
    ],
)
def test_an_answer_that_does_not_fit_the_form_or_the_item_is_none(server: ChatServer, kind: str, content: str) -> None:
    item = FAMILIES[kind].data(0) | {"say": f"it answers {content}"}
    assert list(of_kind(server, kind).predict([item]).labels) == [None]


def test_samples_of_texts_agree_as_people_do(server: ChatServer) -> None:
    item = {"say": "it answers the cat sat here|the cat sat her|the bat sat here", "text": "x"}
    said = of_kind(server, "text", samples=3).predict([item])
    assert list(said.labels) == ["the cat sat here"]
    assert said.confidences[0] == pytest.approx((1 + 2 * 15 / 16) / 3)


def test_what_labelloop_does_not_read_no_chat_endpoint_predicts(server: ChatServer) -> None:
    form = '<View><Text name="t" value="$text"/><Unheard name="m" toName="t"/></View>'
    with pytest.raises(SpecError, match="labelloop does not read Unheard 'm'"):
        remote(server, label_config=form)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"url": "ftp://x"}, "begin with http"),
        ({"url": "http://user:word@host/v1"}, "no password, key or query"),
        ({"url": "http://host/v1?key=1"}, "no password, key or query"),
        ({"protocol": "grpc"}, "chat or ml-backend"),
        ({"model": ""}, "must name the model"),
        ({"shots": 1000}, "shots must be 0 to 100"),
        ({"samples": 0}, "samples must be 1 to 20"),
        ({"at_once": 0}, "above 0"),
        ({"user_env": "U"}, "named together"),
    ],
)
def test_parameters_are_checked(server: ChatServer, params: dict[str, object], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        remote(server, **params)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"choices": []},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": "Spam"}}]},
        {"choices": [{"message": {"content": "spam or ham"}}]},
        {"choices": [{"message": {"content": '{"label": ["spam"]}'}}]},
        {"choices": [{"message": {"content": "[" * 100_000}}]},
    ],
)
def test_nothing_but_a_label_is_a_label(answer: object) -> None:
    assert chat.read(LABELS, answer) == (None, None)


@pytest.mark.parametrize("logprobs", [None, {}, {"content": []}, {"content": [{"logprob": "x"}]}, {"content": [1]}])
def test_a_probability_is_read_strictly(logprobs: object) -> None:
    said = {"choices": [{"message": {"content": "spam"}, "logprobs": logprobs}]}
    assert chat.read(LABELS, said) == ("spam", None)


def test_pictures_are_sent_as_pictures() -> None:
    body = chat.request("m", chat.PROMPT, LABELS, [], "data:image/png;base64,AA", sampled=False, logprobs=False)
    assert body["messages"][-1]["content"][0]["image_url"] == {"url": "data:image/png;base64,AA"}


def test_a_pause_is_as_the_server_says() -> None:
    assert _pause("7", 0) == 7
    assert _pause("Wed, 21 Oct 2015 07:28:00 GMT", 0) == 0
    assert [_pause(said, 2) for said in (None, "soon")] == [2.0, 2.0]


def test_the_server_of_these_tests_wants_its_key(server: ChatServer) -> None:
    asked = {"messages": [{"role": "user", "content": "x"}]}
    assert httpx.post(f"{server.url}/chat/completions", json=asked).status_code == 401
