"""Further opinions on the real Label Studio: a third person is asked where two differ, and nobody where they agree."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from labelloop.spec.opinions import Opinions
from labelloop.store.database import Database
from sync.pull.opinions import Settled, settle_opinions
from sync.push.batches import PushReport
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    rule = Opinions(most=3)
    with sync_loop(database, label_studio.url, label_studio.token, overlap=2, opinions=rule) as loop:
        yield loop


@pytest.fixture
def people(label_studio: LabelStudio) -> list[httpx.Client]:
    return [label_studio.sign_up(f"{name}@opinions.example.org")[1] for name in ("anne", "ben", "carla")]


def answers(loop: SyncLoop, key: str) -> list[tuple[str | None, int, float | None]]:
    rows = loop.sql(
        "select a.label, a.reviewers, round(a.certainty::numeric, 3)::float8 as certainty from answers a"
        " join outputs o on o.id = a.output_id where o.key = %(key)s order by seq",
        key=key,
    )
    return [(row["label"], row["reviewers"], row["certainty"]) for row in rows]


def state(loop: SyncLoop, key: str) -> str:
    return str(loop.sql("select state::text from outputs where key = %(key)s", key=key)[0]["state"])


def told(loop: SyncLoop, key: str) -> tuple[int, bool]:
    task = loop.task_of(key)
    return task["overlap"], task["is_labeled"]


def test_two_who_differ_bring_a_third_person_and_two_who_agree_bring_nobody(
    loop: SyncLoop, people: list[httpx.Client]
) -> None:
    anne, ben, carla = people
    same, other = loop.submit(2)
    loop.push()
    for key, his in ((same, "cat"), (other, "dog")):
        loop.annotate(loop.task_of(key)["id"], "cat", web=anne)
        loop.annotate(loop.task_of(key)["id"], his, web=ben)
    loop.pull()
    assert (state(loop, same), answers(loop, same)) == ("answered", [("cat", 2, None)])
    assert (state(loop, other), answers(loop, other)) == ("in_review", [(None, 2, None)])
    assert loop.next_task(carla) is None, "Label Studio was not told yet"

    assert loop.push() == PushReport()
    assert (told(loop, same), told(loop, other)) == ((2, True), (3, False))
    assert loop.next_task(anne) is None, "never the same person twice"
    assert loop.next_task(ben) is None
    served = loop.next_task(carla)
    assert served is not None
    assert (served["data"]["labelloop_key"], served["annotations"]) == (other, []), "nobody sees the others' answers"
    loop.annotate(served["id"], "dog", web=carla)
    loop.pull()
    assert (state(loop, other), answers(loop, other)[-1]) == ("answered", ("dog", 3, None))
    assert loop.push() == PushReport()
    assert loop.next_task() is None, "nobody is asked a fourth time"


def test_by_dawid_skene_the_answer_settles_with_its_certainty(loop: SyncLoop, people: list[httpx.Client]) -> None:
    loop.spec = loop.spec.model_copy(
        update={"consensus": "dawid-skene", "opinions": Opinions(most=3, sure=0.9)}  # two of three labels: 0.916
    )
    anne, ben, carla = people
    same, other = loop.submit(2)
    loop.push()
    for key, his in ((same, "cat"), (other, "dog")):
        loop.annotate(loop.task_of(key)["id"], "cat", web=anne)
        loop.annotate(loop.task_of(key)["id"], his, web=ben)
    loop.pull()
    assert answers(loop, same) == [("cat", 2, 0.916)], "0.7 ** 2 of 0.7 ** 2 and twice 0.15 ** 2"
    assert answers(loop, other) == [(None, 2, 0.452)], "a tie is no answer"
    loop.push()
    assert (told(loop, same), told(loop, other)) == ((2, True), (3, False))
    loop.annotate(loop.task_of(other)["id"], "dog", web=carla)
    loop.pull()
    [*_, (label, reviewers, certainty)] = answers(loop, other)
    assert (state(loop, other), label, reviewers) == ("answered", "dog", 3)
    assert certainty == pytest.approx(0.7**2 * 0.15 / (0.7**2 * 0.15 + 0.7 * 0.15**2 + 0.15**3), abs=1e-3)

    before = answers(loop, same)
    done = settle_opinions(loop.database, loop.spec)
    assert done.estimate is not None
    assert settle_opinions(loop.database, loop.spec).estimate is None, "the same answers are not estimated twice"
    assert [label for label, *_ in answers(loop, same)] in (["cat"], ["cat", "cat"])
    assert answers(loop, same)[: len(before)] == before


def test_a_skip_is_the_persons_and_somebody_else_is_asked(loop: SyncLoop, people: list[httpx.Client]) -> None:
    anne, ben, carla = people
    [key] = loop.submit(1)
    loop.push()
    loop.annotate(loop.task_of(key)["id"], "cat", web=anne)
    loop.annotate(loop.task_of(key)["id"], "dog", web=ben)
    loop.pull()
    loop.push()
    loop.annotate(loop.task_of(key)["id"], "cat", web=carla, skip=True)
    loop.pull()
    assert (state(loop, key), answers(loop, key)) == ("in_review", [(None, 2, None)])
    loop.push()
    assert loop.next_task(carla) is None
    served = loop.next_task()
    assert served is not None, "the administrator has not answered it"
    loop.annotate(served["id"], "cat")
    loop.pull()
    assert (state(loop, key), answers(loop, key)[-1]) == ("answered", ("cat", 3, None))


def test_after_a_change_of_the_numbers_only_missing_opinions_are_asked(
    loop: SyncLoop, people: list[httpx.Client]
) -> None:
    anne, ben, _ = people
    [key] = loop.submit(1)
    rule = loop.spec.opinions
    loop.spec = loop.spec.model_copy(update={"opinions": None})
    loop.push()
    loop.annotate(loop.task_of(key)["id"], "cat", web=anne)
    loop.annotate(loop.task_of(key)["id"], "dog", web=ben)
    loop.pull()
    assert (state(loop, key), answers(loop, key)) == ("answered", [(None, 2, None)])

    loop.spec = loop.spec.model_copy(update={"opinions": rule})
    assert settle_opinions(loop.database, loop.spec) == Settled(asked=1)
    assert settle_opinions(loop.database, loop.spec) == Settled()
    loop.push()
    assert (state(loop, key), told(loop, key)) == ("in_review", (3, False))

    loop.spec = loop.spec.model_copy(update={"opinions": None})
    assert settle_opinions(loop.database, loop.spec) == Settled(released=1)
    loop.push()
    assert (state(loop, key), told(loop, key)) == ("answered", (2, True))
    assert answers(loop, key) == [(None, 2, None)], "no answer was written anew"
    assert loop.next_task() is None


def test_the_budget_is_kept_and_the_others_hold_as_they_are(loop: SyncLoop, people: list[httpx.Client]) -> None:
    loop.spec = loop.spec.model_copy(update={"opinions": Opinions(most=3, budget=2.5)})
    anne, ben, _ = people
    keys = loop.submit(4)
    loop.push()
    for key in keys:
        loop.annotate(loop.task_of(key)["id"], "cat", web=anne)
        loop.annotate(loop.task_of(key)["id"], "dog", web=ben)
    loop.pull()
    assert loop.states() == {"in_review": 2, "answered": 2}, "10 answers for 4 items"
    assert settle_opinions(loop.database, loop.spec) == Settled()
