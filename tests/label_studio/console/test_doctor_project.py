"""Every fault of a project is made in the real Label Studio, told, repaired by the line that is printed, and gone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from itertools import zip_longest

import pytest

from labelloop.store.database import Database
from tests.support.house import House, house
from tests.support.servers import LabelStudio, a_database, label_studio_database

Seed = Callable[[House], object]
Fault = tuple[Seed, set[str], str]
"""How it is made, the checks that must tell it and no others, and words that one of them says."""


@pytest.fixture(scope="module")
def pets(
    postgres_url: str, _template: str, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """One house for all of them: each test leaves it as it was."""
    name = f"labelloop_doctor_{uuid.uuid4().hex[:12]}"
    with (
        a_database(postgres_url, name, _template.rpartition("/")[2]) as url,
        Database(url) as database,
        house(database, label_studio.url, label_studio.token, tmp_path_factory.mktemp("models")) as pets,
    ):
        pets.loop.submit(6, data={"text": "a", "body": "b"})
        pets.repair(next(f for f in pets.examine() if f.check == "project"))
        assert pets.ill() == {}
        yield pets


# -- how a project is spoilt ---------------------------------------------------------------------------------------


def _show_foreign(pets: House) -> None:
    task = pets.predictions()[0]["task"]
    _predict(pets, task, 0.5, "v9")
    pets.change(model_version="v9")


def _predict(pets: House, task: int, score: float, version: str) -> None:
    body = {"task": task, "result": [], "score": score, "model_version": version}
    pets.loop.web.post("/api/predictions/", json=body).raise_for_status()


def _predict_again(pets: House) -> None:
    last = pets.predictions()[5]
    _predict(pets, last["task"], (last["score"] + 1) / 2, "pipeline")


def _rescore(pets: House, place: int, score: float | None) -> None:
    pets.patch(f"/api/predictions/{pets.predictions()[place]['id']}/", score=score)


def _swap(pets: House) -> None:
    """The third comes before all others."""
    _rescore(pets, 2, 0.0)


def _unpredict(pets: House) -> None:
    pets.loop.web.delete(f"/api/predictions/{pets.predictions()[0]['id']}/").raise_for_status()


def _redraw(was: str, now: str) -> Seed:
    return lambda pets: pets.change(label_config=pets.loop.spec.labels_xml.replace(was, now))


def _rehook(**fields: object) -> Seed:
    def seed(pets: House) -> None:
        (hook,) = pets.hooks()
        # A PATCH without the actions clears them.
        pets.patch(f"/api/webhooks/{hook['id']}/", **{"actions": hook["actions"], **fields})

    return seed


def _unhook(pets: House) -> None:
    pets.loop.web.delete(f"/api/webhooks/{pets.hooks()[0]['id']}/").raise_for_status()


def _hook_twice(pets: House) -> None:
    (hook,) = pets.hooks()
    again = {name: hook[name] for name in ("url", "project", "headers", "actions")}
    pets.loop.web.post("/api/webhooks/", json={**again, "send_for_all_actions": False}).raise_for_status()


def _backends(pets: House) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pets.loop.web.get("/api/ml/", params={"project": pets.loop.project_id}).json()
    return found


def _disconnect(pets: House) -> None:
    pets.loop.web.delete(f"/api/ml/{_backends(pets)[0]['id']}").raise_for_status()


def _move_backend(pets: House) -> None:
    """The same service by another name."""
    pets.patch(
        f"/api/ml/{_backends(pets)[0]['id']}",
        url=pets.backend.url.replace("127.0.0.1", "localhost"),
        project=pets.loop.project_id,
        auth_method="BASIC_AUTH",
        basic_auth_user=pets.settings.backend_user,
        basic_auth_pass=pets.settings.backend_password,
    )


RANKING = {"scores", "order"}
SHOWN = [
    (lambda pets: pets.change(model_version=""), {"shown version", *RANKING}, "no version"),
    (_show_foreign, {"shown version", *RANKING}, "'v9'"),
    (lambda pets: pets.change(show_collab_predictions=False), {"shown version", *RANKING}, "predictions are hidden"),
    (lambda pets: pets.change(model_version="labelloop"), {"shown version", *RANKING}, "title of an ML backend"),
    (_unpredict, RANKING, "no prediction of 'pipeline'"),
    (lambda pets: _rescore(pets, 0, None), RANKING, "has no order score"),
    (lambda pets: _rescore(pets, 5, pets.predictions()[0]["score"]), RANKING, "2 of 6 open tasks have"),
    (_swap, RANKING, "a different order score than ours"),
    (_predict_again, {"scores"}, "a different order score than ours"),
]
HOOKS = [
    (_unhook, {"webhook"}, "no webhook"),
    (_rehook(is_active=False), {"webhook"}, "is switched off"),
    (_rehook(url="http://127.0.0.1:9/hooks/label-studio/pets"), {"webhook"}, "calls http://127.0.0.1:9/hooks"),
    (_rehook(actions=["TASKS_DELETED"]), {"webhook"}, "is not called for ANNOTATIONS_CREATED"),
    (_rehook(send_for_all_actions=True), {"webhook"}, "called for"),
    (_rehook(headers={"X-Labelloop-Secret": "?"}), {"webhook"}, "does not carry our secret"),
    (_hook_twice, {"webhook"}, "2 webhooks"),
]
FORMS = [
    (_redraw('<Choice value="dog"/>', ""), {"form"}, "the label 'dog' is gone"),
    (_redraw('"dog"', '"hound"'), {"form"}, "the label 'dog' is now 'hound'"),
    (_redraw("$text", "$body"), {"form"}, "the field $text is now $body"),
    (_redraw('name="label"', 'name="labels"'), {"form", "ml backend"}, "is called 'labels'"),
]
SAMPLING = [
    (lambda pets: pets.change(sampling="Sequential sampling"), {"sampling"}, "'Sequential sampling'"),
    (lambda pets: pets.change(sampling="Uniform sampling"), {"sampling"}, "'Uniform sampling'"),
    (lambda pets: pets.change(maximum_annotations=2), {"sampling"}, "answered by 2 annotators"),
    (lambda pets: pets.change(show_overlap_first=True), {"sampling"}, "served first"),
]
BACKENDS = [
    (_disconnect, {"ml backend"}, "not connected"),
    (_move_backend, {"ml backend"}, "asks at http://localhost"),
]
# One of each kind at a time: they have nothing to do with each other.
ROUNDS: list[list[Fault]] = [
    [fault for fault in faults if fault is not None] for faults in zip_longest(SHOWN, HOOKS, FORMS, SAMPLING, BACKENDS)
]


@pytest.mark.parametrize("faults", ROUNDS, ids=lambda faults: ", ".join(says for _, _, says in faults))
def test_every_fault_is_told_and_gone_after_the_printed_repair(pets: House, faults: list[Fault]) -> None:
    for seed, _, _ in faults:
        seed(pets)
    ill = pets.ill()
    assert set(ill) == set().union(*(checks for _, checks, _ in faults))
    for _, checks, says in faults:
        assert any(says in ill[check].says for check in checks), ill
    assert all(finding.why for finding in ill.values())
    assert len({finding.repair.partition("  #")[0] for finding in ill.values()}) == 1
    pets.repair(next(iter(ill.values())))
    assert pets.ill() == {}


def test_the_order_is_measured_without_touching_a_task(pets: House) -> None:
    before = [task["updated_at"] for task in pets.loop.tasks()]
    said = {finding.check: finding.says for finding in pets.examine()}
    assert said["order"] == "6 tasks are served in our order (Spearman 1.00)"
    assert said["scores"] == "6 open, each with its own order score"
    assert [task["updated_at"] for task in pets.loop.tasks()] == before
    assert len(pets.hooks()) == 1
    assert len(_backends(pets)) == 1


def test_a_backend_that_label_studio_does_not_reach(pets: House) -> None:
    pets.backend.go()
    try:
        ill = pets.ill()
    finally:
        pets.backend.come()
    assert set(ill) == {"backend", "ml backend"}
    assert "does not reach it" in ill["ml backend"].says
    assert pets.ill() == {}


def test_a_project_without_our_mark_is_not_ours(pets: House) -> None:
    description = pets.loop.gateway.project(pets.loop.project_id).description
    pets.change(description="somebody's")
    ill = pets.ill()
    pets.change(description=description)
    assert set(ill) == {"project", "database"}, "no other project tells what Label Studio keeps its data in"
    assert "does not have the mark" in ill["project"].says
    assert pets.ill() == {}


@pytest.mark.alone
def test_a_project_that_is_gone(database: Database, label_studio: LabelStudio, pets: House) -> None:
    with house(database, label_studio.url, label_studio.token, pets.models) as short:
        assert set(short.ill()) == {"project", "database"}, "none is made yet"
        short.loop.push()
        short.loop.web.delete(f"/api/projects/{short.loop.project_id}/").raise_for_status()
        ill = short.ill()
        assert "is gone from Label Studio" in ill["project"].says
        short.repair(ill["project"])
        assert short.ill() == {}


def test_a_second_member_is_seen_in_label_studios_database(pets: House, label_studio_postgres: str) -> None:
    at = label_studio_database(label_studio_postgres, pets.loop.project.instance)
    project = pets.loop.project_id
    with Database(at) as theirs:

        def do(statement: str) -> None:
            with theirs.transaction() as conn:
                conn.execute(statement, {"project": project})

        do(
            "insert into projects_projectmember (enabled, created_at, updated_at, project_id, user_id)"
            " select true, now(), now(), %(project)s, id from htx_user cross join generate_series(1, 2)"
            " order by id limit 2"
        )
        try:
            ill = pets.ill(label_studio_database=at)
        finally:
            do("delete from projects_projectmember where project_id = %(project)s")
    assert set(ill) == {"members"}
    assert "2 members" in ill["members"].says
    assert pets.ill(label_studio_database=at) == {}


def test_items_that_wait_for_a_person_who_is_not_there_are_told(
    database: Database, label_studio: LabelStudio, pets: House
) -> None:
    with house(database, label_studio.url, label_studio.token, pets.models) as lonely:
        lonely.loop.submit(2, data={"text": "a", "body": "b"})
        lonely.loop.push()
        said = {finding.check: finding for finding in lonely.examine()}
        assert said["opinions"].says == "enough people have answered for all opinions that are asked"
        lonely.loop.annotate(lonely.loop.tasks()[0]["id"], "cat")
        lonely.loop.pull()
        # As if the answer were not certain enough, and one more person were asked.
        lonely.loop.do("update tasks set overlap = 2; update outputs set state = 'in_review' where state = 'answered'")
        said = {finding.check: finding for finding in lonely.examine()}
    assert said["opinions"].says.startswith("1 item waits for one more person than have ever answered here (1)")
