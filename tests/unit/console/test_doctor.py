"""The doctor's decisions: what each of its checks makes of the facts, with nothing but the facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from console.doctor import calls, order, project, server, services, work
from console.doctor.findings import Finding, Level, exit_status, fault, good, hint, summary, unseen
from labelloop.labeling.form import generate_form
from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.inspection import Served
from labelloop.queue.tasks import order_score
from labelloop.store.questions.health import OpenJob, OpenTask, ServerState
from sync.project.mend import to_mend
from tests.support.sync_loop import XML

FAULT = fault("a", "is wrong", why="because", repair="do")
UNSEEN = unseen("b", "no way in")
WELL = Project(
    id=7,
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
)
HOOK = calls.Hook("http://sync:1/hooks/pets", True, {"X": "secret"}, {"ANNOTATION_CREATED", "TASKS_DELETED"})
URL = "http://127.0.0.1:8602"
BACKEND = calls.Backend("labelloop", URL, "CO")
ROOM = ServerState(
    version="17.2",
    clock=0.0,
    places=97,
    used=20,
    database_places=None,
    database_used=10,
    role_places=None,
    role_used=10,
    ours=30,
)


def is_fault(finding: Finding, *says: str) -> bool:
    """It says these words, why, and what repairs it in one line."""
    assert finding.level is Level.FAULT, finding
    assert all(word in finding.says for word in says), finding.says
    assert finding.why
    assert finding.repair
    assert "\n" not in finding.says + finding.why + finding.repair
    return True


# -- all of them together ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("findings", "status", "says"),
    [
        ([good("a", "x"), good("b", "x")], 0, "2 checks, nothing wrong"),
        ([good("a", "x"), hint("b", "x")], 0, "2 checks, nothing wrong"),
        ([good("a", "x"), UNSEEN], 2, "2 checks, 1 could not be made"),
        ([FAULT, UNSEEN], 1, "2 checks, 1 fault, 1 could not be made"),
        ([FAULT, FAULT], 1, "2 checks, 2 faults"),
        ([], 2, "0 checks, nothing wrong"),
    ],
)
def test_nothing_that_was_not_looked_at_is_called_well(findings: list[Finding], status: int, says: str) -> None:
    assert exit_status(findings) == status
    assert summary(findings) == says


# -- the server ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("1.23.2", Level.OK),
        ("1.23.2.post1", Level.OK),
        ("1.23.1", Level.FAULT),
        ("1.9.10", Level.FAULT),
        ("0.1", Level.FAULT),
        ("1.24.0", Level.HINT),
        ("2", Level.HINT),
        ("", Level.UNSEEN),
        ("unknown", Level.UNSEEN),
    ],
)
def test_an_old_label_studio_is_a_fault_and_a_new_one_worth_a_word(said: str, level: Level) -> None:
    assert server.version(said).level is level


def test_sqlite_is_a_fault_and_an_answer_that_tells_nothing_is_not_called_well() -> None:
    assert server.database("postgres").level is Level.OK
    assert is_fault(server.database("sqlite"), "SQLite")
    assert server.database(None).level is Level.UNSEEN


def test_clocks_may_differ_by_as_much_as_the_measurement_may_be_wrong() -> None:
    assert server.clocks({"Postgres": (2.9, 0.0)}).level is Level.OK
    assert server.clocks({"Postgres": (0.0, 0.1), "Label Studio": (-4.0, 1.5)}).level is Level.OK
    off = server.clocks({"Postgres": (0.0, 0.1), "Label Studio": (-60.0, 0.5)})
    assert is_fault(off, "Label Studio's is 60 s behind")
    assert "machine of Label Studio" in off.repair
    both = server.clocks({"Postgres": (60.0, 0.1), "Label Studio": (60.4, 0.5)})
    assert "this machine" in both.repair


@pytest.mark.parametrize(
    ("token", "said", "what", "repair"),
    [
        ("a" * 40, "legacy token authentication has been disabled", "takes only personal", "a personal token"),
        ("a" * 40, "Invalid token.", "does not know this token", "a new token"),
        ("a.b.c", "Authentication credentials were not provided.", "takes only legacy", "a legacy token"),
        ("a.b.c", "Token is blacklisted", "revoked", "a personal token"),
        ("a.b.c", "Token is invalid", "another server's", "a personal token"),
    ],
)
def test_a_token_that_is_refused_has_a_cause(token: str, said: str, what: str, repair: str) -> None:
    finding = server.token_refused(token, said)
    assert finding.level is Level.UNSEEN
    assert what in finding.says
    assert repair in finding.repair
    assert token not in finding.says + finding.repair


# -- Postgres and the workers --------------------------------------------------------------------------------------


def test_a_schema_that_lacks_something_says_what() -> None:
    assert work.schema([]).level is Level.OK
    assert is_fault(work.schema(["0002"]), "0002")


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, Level.OK),
        ({"used": 94}, Level.HINT),
        ({"used": 96}, Level.FAULT),
        ({"ours": 0, "used": 86}, Level.FAULT),
        ({"database_places": 11}, Level.FAULT),
        ({"role_places": 20}, Level.HINT),
        ({"role_places": 60}, Level.OK),
    ],
)
def test_there_must_be_room_for_what_our_processes_still_take(change: dict[str, Any], level: Level) -> None:
    assert work.connections(replace(ROOM, **change)).level is level


def test_a_worker_lives_by_its_connection_and_its_heartbeat() -> None:
    both = ["labelloop backend worker", "labelloop sync worker"]
    assert work.workers(both, [1.0, 3.0], 5.0).level is Level.OK
    assert is_fault(work.workers(both[:1], [1.0], 5.0), "worker of sync")
    assert "sync.worker" in work.workers(both[:1], [1.0], 5.0).repair
    assert is_fault(work.workers([], [], 5.0), "sync and backend")
    assert is_fault(work.workers(both, [1.0, 40.0], 5.0), "1 of 2", "40 s")


def test_a_job_is_stuck_when_its_worker_is_dead_or_nobody_takes_it() -> None:
    job = OpenJob(name="sync.push", loop="pets", status="todo", age=5.0, silence=None, behind=False)
    doing = replace(job, status="doing", silence=0.0, age=4000.0)
    assert work.stuck([], 5.0).level is Level.OK
    assert work.stuck([job, doing, replace(job, age=4000.0, behind=True)], 5.0).level is Level.OK
    assert is_fault(work.stuck([replace(job, age=400.0)], 5.0), "has waited for 400 s")
    assert is_fault(work.stuck([replace(doing, silence=None)], 5.0), "is dead")
    assert is_fault(work.stuck([replace(doing, silence=60.0, name="backend.retrain")] * 5, 5.0), "2 more")


# -- our services --------------------------------------------------------------------------------------------------

NOT_OURS = "not the project of this loop"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (services.Answer(401), "refuses our secret"),
        (services.Answer(404, "no such page"), "no doorbell"),
        (services.Answer(204), "it answers 204"),
        (services.Answer(503, "Postgres does not answer"), "Postgres does not answer"),
        (services.Answer(0, "ConnectError"), "ConnectError"),
        (services.Answer(404, NOT_OURS, 1.1), "after 1.1 s"),
    ],
)
def test_a_doorbell_that_does_not_ring_in_time_is_a_fault(answer: services.Answer, says: str) -> None:
    assert is_fault(services.doorbell(answer, URL, "pets"), says)


def test_a_doorbell_that_is_slow_but_in_time_is_a_hint_and_no_fault() -> None:
    found = services.doorbell(services.Answer(404, NOT_OURS, 0.6), URL, "pets")
    assert (found.level, "after 0.6 s" in found.says) == (Level.HINT, True)


def test_services_that_answer_as_they_should_are_well() -> None:
    assert services.doorbell(services.Answer(404, NOT_OURS, 0.01), URL, "pets").level is Level.OK
    assert services.intake(services.Answer(200), URL).level is Level.OK
    assert services.backend(services.Answer(200), [], URL).level is Level.OK


def test_services_that_do_not_are_faults() -> None:
    assert is_fault(services.intake(services.Answer(401), URL), "refuses our token")
    assert is_fault(services.intake(services.Answer(0, "ConnectError"), URL), "ConnectError")
    assert is_fault(services.backend(services.Answer(401), [], URL), "refuses our password")
    assert is_fault(services.backend(services.Answer(502), [], URL), "502")
    assert is_fault(services.backend(services.Answer(200), ["pets: cannot be loaded"], URL), "cannot be loaded")


# -- the project ---------------------------------------------------------------------------------------------------


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


def test_a_control_that_is_gone_is_named() -> None:
    full = generate_form(["cat", "dog"], ["approval", "correction", "comment"], {"text": "$text"})
    less = generate_form(["cat", "dog"], ["approval", "correction"], {"text": "$text"})
    assert is_fault(project.form("pets", full, less), "the TextArea 'comment' is gone")


# -- whom Label Studio calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hooks", "says"),
    [
        ([], "no webhook"),
        ([replace(HOOK, active=False)], "is switched off"),
        ([replace(HOOK, headers={})], "does not carry our secret"),
        ([replace(HOOK, actions=["TASKS_DELETED"])], "is not called for ANNOTATION_CREATED"),
        ([replace(HOOK, actions=["*", *HOOK.actions])], "is called for * too"),
        ([replace(HOOK, url="http://old:1/hooks/pets")], "rings at http://old:1/hooks/pets, ours is"),
        ([HOOK, replace(HOOK, url="http://old:1/hooks/pets")], "also rings at"),
        ([HOOK, HOOK], "2 webhooks ring"),
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


# -- the served order ----------------------------------------------------------------------------------------------

V = "pipeline"
OURS = [order.Ours(10 + i, f"k{i}", priority, V) for i, priority in enumerate((0.9, 0.6, 0.3))]
SERVED = [Served(task.task_id, order_score(task.priority), (V,)) for task in OURS]


def open_tasks(tasks: list[order.Ours]) -> dict[int, OpenTask]:
    return {t.task_id: OpenTask(uuid4(), t.task_id, t.key, t.priority, t.shown_version) for t in tasks}


def test_our_order_served_is_well() -> None:
    assert order.scores("pets", SERVED, OURS, V).level is Level.OK
    assert order.order("pets", SERVED, OURS, V).level is Level.OK
    assert order.order("pets", [], [], V).level is Level.OK
    assert order.order("pets", SERVED[1:], OURS, V).level is Level.OK, "one was answered meanwhile"


def test_another_order_is_measured_and_its_first_place_named() -> None:
    wrong = [SERVED[0], replace(SERVED[2], score=0.2), replace(SERVED[1], score=0.3)]
    assert is_fault(order.order("pets", wrong, OURS, V), "Spearman 0.50", "place 2", "task 12", "expected task 11")
    assert is_fault(order.scores("pets", wrong, OURS, V), "2 of 3", "a different order score than ours")
    tied = [SERVED[0], *(replace(task, score=0.5) for task in SERVED[1:])]
    assert is_fault(order.order("pets", tied, OURS, V), "Spearman 0.87", "in any order"), "ours by chance"
    flat = [replace(task, score=None) for task in reversed(SERVED)]
    assert is_fault(order.order("pets", flat, OURS, V), "all order scores are equal")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"versions": ()}, "no prediction of 'pipeline'"),
        ({"versions": ("v9",), "score": None}, "no prediction of 'pipeline'"),
        ({"score": None}, "has no order score"),
        ({"score": order_score(0.6)}, "the order score of another"),
        ({"score": 0.123}, "a different order score than ours"),
    ],
)
def test_a_score_that_cannot_rank_is_a_fault_and_is_mended(change: dict[str, object], says: str) -> None:
    served = [*SERVED[:2], replace(SERVED[2], **change)]  # type: ignore[arg-type]
    assert is_fault(order.scores("pets", served, OURS, V), says)
    rows = open_tasks(OURS)
    assert to_mend(served, rows, V) == [12]
    assert to_mend(SERVED, rows, V) == []


def test_a_renewal_on_its_way_is_no_fault() -> None:
    """Its new predictions stand beside the old ones, and its places are those of the next version."""
    half = [replace(OURS[0], priority=0.1, shown_version="next"), *OURS[1:]]
    served = [replace(SERVED[0], versions=(V, "next")), *SERVED[1:]]
    assert order.scores("pets", served, half, V).level is Level.OK
    assert "1 more tasks await" in order.order("pets", served, half, V).says
    assert to_mend(served, open_tasks(half), V) == []


def test_more_than_one_member_makes_the_order_random() -> None:
    assert is_fault(order.members("pets", 2), "2 members")
    assert order.members("pets", 1).level is Level.OK
    assert order.members("pets", None).level is Level.OK


numbers = st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 2), min_size=2, max_size=30)


@given(numbers)
def test_spearman_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    ours = order.spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(stats.spearmanr(a, b).statistic)


@given(st.permutations(range(6)))
def test_the_first_out_of_place_is_none_in_order_and_never_the_last(found: list[int]) -> None:
    first = order.first_out_of_place(range(6), found)
    assert (first is None) == (found == list(range(6)))
    assert first is None or (first < 5 and found[:first] == list(range(first)))
