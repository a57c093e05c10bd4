"""The findings of doctor in facts about the server, Postgres, the workers and the services."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from console.doctor import answers, server, services, work
from console.doctor.findings import Finding, Level, exit_status, fault, good, hint, summary, unseen
from labelloop.queue.budget import Origin, Spent
from labelloop.spec.budget import Budget
from labelloop.store.questions.health import OpenJob, ServerState
from tests.support.data.findings import URL, is_fault

FAULT = fault("a", "is wrong", why="because", repair="do")
UNSEEN = unseen("b", "no way in")
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
def test_a_check_that_was_not_made_is_not_called_good(findings: list[Finding], status: int, says: str) -> None:
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


def test_a_budget_that_keeps_outputs_out_is_a_hint_that_says_until_when() -> None:
    tasks = {Origin("mail", ""): 3}
    day = work.budget("pets", Spent(Budget(per_day=3), tasks), 1)
    assert (day.level, day.loop) == (Level.HINT, "pets")
    assert day.says.startswith("3 of 3 tasks today; used up: per_day; outputs wait until 00:00 UTC")
    source = work.budget("pets", Spent(Budget(per_source={"mail": 3}), tasks), 1)
    assert "used up: per_source mail; outputs of the rule lane wait" in source.says
    assert work.budget("pets", Spent(Budget(per_day=3), tasks), 0).level is Level.OK, "nothing waits"
    assert work.budget("pets", Spent(Budget(per_day=4), tasks), 1) == good("budget", "3 of 4 tasks today", "pets")


def test_items_that_wait_for_a_person_who_is_not_there_are_a_hint() -> None:
    assert answers.opinions("pets", None).level is Level.OK
    found = answers.opinions("pets", "2 items wait for one more person than have ever answered here (1).")
    assert (found.level, found.check, found.loop) == (Level.HINT, "opinions", "pets")
    assert found.says == "2 items wait for one more person than have ever answered here (1)"
