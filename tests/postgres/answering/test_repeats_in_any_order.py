"""Repeats after any sequence of what pipelines, people and Label Studio do: they follow, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, pairwise
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.labelstudio.gateway import Gateway
from labelloop.store.database import Database
from labelloop.store.tables import projects
from labelloop.store.tables import tasks as task_store
from sync.pull.take_in import Pull
from tests.support.hops.answering_desk import exported
from tests.support.hops.repeating_desk import RepeatingDesk

Row = dict[str, Any]
LABELS = ("cat", "dog", "eel")
OPEN = ("waiting", "pushing", "in_review")
LOOK = """
    select o.id, o.key, o.state::text, o.lane::text, r.original_id as of, p.output_id is not null as pooled,
        t.label_studio_id as task, a.label, told.label as told, told.output_id is not null as was_told
    from outputs o left join repeats r on r.output_id = o.id left join pool p on p.output_id = o.id
    left join tasks t on t.output_id = o.id left join told_answers told on told.output_id = o.id
    left join lateral (select label from answers where output_id = o.id order by seq desc limit 1) a on true
"""


class World:
    """A loop that reuses answers, with a callback and a reader of exports."""

    def __init__(self, desk: RepeatingDesk, names: Iterator[int]) -> None:
        self.desk, self.names = desk, names
        self.text = f"text {next(names)}"
        self.copy: dict[tuple[str, str], Row] = {}
        self.cursor: str | None = exported(desk)[1]
        self.keys: list[str] = []

    def rows(self) -> list[Row]:
        return [row for row in self.desk.sql(LOOK) if row["key"] in self.keys]

    def pick(self, number: int, *wanted: str) -> Row | None:
        """One of the outputs that are not repeats, in one of these states; None without any."""
        found = sorted(
            (row for row in self.rows() if row["of"] is None and row["state"] in wanted), key=lambda row: row["key"]
        )
        return found[number % len(found)] if found else None

    def send(self, number: int, which: int, confidence: float) -> None:
        body = [(f"{self.text}/{next(self.names):06}", f"{self.text} {which}") for _ in range(number % 3 + 1)]
        self.keys += [key for key, _ in body]
        sent = [
            {"key": key, "data": {"text": text}, "label": LABELS[i % 3], "confidence": confidence if i else 0.6}
            for i, (key, text) in enumerate(body)
        ]
        assert self.desk.post(*sent, *sent[:1]).status_code == 201

    def give(self, number: int, who: str, label: str | None) -> None:
        if self.keys:
            key = self.keys[number % len(self.keys)]
            said = self.desk.give(key, who, False, correction=label)
            assert said.status_code in (200, 201), said

    def open_task(self, number: int) -> None:
        if row := self.pick(number, "waiting"):
            self.desk.open_task(row["id"], next(self.names))

    def annotate(self, number: int, who: int, label: str | None) -> None:
        if (row := self.pick(number, "in_review", "answered")) and row["task"] is not None:
            self.desk.annotate(row["id"], who, label, task_id=row["task"], later_s=float(next(self.names)))

    def withdraw(self, number: int) -> None:
        if (row := self.pick(number, "in_review", "answered")) and row["task"] is not None:
            with self.desk.database.transaction() as conn:
                project = projects.get(conn, "pets")
                assert project is not None
                projects.lock_hop(conn, "pets", "answers")
                pull = Pull(self.desk.database, cast("Gateway", None), self.desk.spec, project)
                pull.withdraw(conn, [row["id"]])

    def leave(self, number: int, states: tuple[str, ...]) -> None:
        """Let a waiting output pass, or Label Studio refuse it."""
        if row := self.pick(number, "waiting"):
            with self.desk.database.transaction() as conn:
                conn.execute("delete from pool where output_id = %s", [row["id"]])
                for state in states:
                    conn.execute("update outputs set state = %s::output_state where id = %s", [state, row["id"]])

    def ask_again(self, number: int) -> None:
        if (row := self.pick(number, "answered")) and row["task"] is not None:
            with self.desk.database.transaction() as conn:
                projects.lock_hop(conn, "pets", "answers")
                task_store.ask_again(conn, [row["id"]])

    def catch_up(self) -> None:
        changed, self.cursor = exported(self.desk, self.cursor)
        for row in changed:
            self.copy.pop((row["model_output_id"], row["reviewer_id"]), None)
            if not row["deleted"]:
                self.copy[row["model_output_id"], row["reviewer_id"]] = row

    def check(self) -> None:
        rows = {row["id"]: row for row in self.rows()}
        for row in rows.values():
            original = rows.get(row["of"])
            if original is None:
                assert row["of"] is None
                assert row["pooled"] == (row["state"] == "waiting"), row
                continue
            assert original["of"] is None, "no chain"
            assert (row["pooled"], row["task"]) == (False, None), row
            if original["state"] == "answered" and original["label"] is not None:
                assert row["state"] == "answered", (row, original)
            elif row["state"] == "waiting":
                assert original["state"] in OPEN, ("nobody is asked", row, original)
            if row["state"] == "answered":
                assert original["state"] in ("answered", "in_review"), (row, original)
                assert original["label"] is not None
            if row["lane"] == "pass":
                assert row["state"] in ("passed", "answered"), row
            label = original["label"] if row["state"] == "answered" else None
            if row["state"] == "answered":
                assert (row["was_told"], row["told"]) == (True, label), (row, original)
            elif row["was_told"]:
                assert row["told"] is None, (row, original)

    def check_told(self) -> None:
        """The callbacks of an output are its answers one after another: no label twice, and the last one is now's."""
        for row in self.rows():
            told = self.desk.sql(
                "select event, fact ->> 'answer_label' as label from deliveries"
                f" where fact ->> 'key' = '{row['key']}' order by created_at"
            )
            labels = [one["label"] for one in told]
            assert [one["event"] for one in told] == ["output.answered", "answer.changed"][:1] * bool(told) + [
                "answer.changed"
            ] * (len(told) - 1)
            assert all(a != b for a, b in pairwise(labels)), (row["key"], labels)
            assert labels[-1:] == ([row["told"]] if row["was_told"] else [])


def test_a_repeat_that_one_of_two_people_answered_follows_its_original(database: Database) -> None:
    """The original's answer is taken back by a second person who disagrees; the repeat waits again."""
    world = World(RepeatingDesk(database, overlap=2), count(1))
    world.send(1, 0, 0.6)
    world.give(0, "anna@x.org", "dog")
    world.open_task(0)
    world.send(0, 0, 0.6)
    world.give(4, "anna@x.org", "cat")
    world.annotate(0, 2, "dog")
    world.check()
    world.annotate(0, 1, "cat")
    world.check()


@pytest.mark.parametrize("overlap", [1, 2])
def test_repeats_follow_and_exports_add_up_after_any_sequence(database: Database, overlap: int) -> None:
    desk = RepeatingDesk(database, overlap=overlap)
    with database.transaction() as conn:
        conn.execute(
            "insert into callbacks (url, secret, events) values ('https://x.example', 'whsec_' || repeat('a', 32),"
            " array['output.answered', 'answer.changed'])"
        )
    names = count(1)
    number, label = st.integers(0, 5), st.sampled_from([*LABELS, None])
    Change = Callable[[World], None]

    def of(method: Callable[..., None], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Change]:
        return st.tuples(*parts).map(lambda chosen: lambda world: method(world, *chosen))

    send = of(World.send, number, st.integers(0, 1), st.sampled_from([0.6, 0.99]))
    change = st.one_of(
        send, send,
        of(World.give, number, st.sampled_from(["anna@x.org", "cleo"]), label),
        of(World.open_task, number), of(World.open_task, number),
        of(World.annotate, number, st.sampled_from([1, 2]), label),
        of(World.annotate, number, st.sampled_from([1, 2]), label),
        of(World.withdraw, number), of(World.ask_again, number),
        of(World.leave, number, st.sampled_from([("passed",), ("pushing", "quarantined")])),
        of(World.catch_up),
    )  # fmt: skip

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(change, min_size=4, max_size=14))
    def any_sequence(changes: list[Change]) -> None:
        world = World(desk, names)
        world.send(1, 0, 0.6)
        for one in changes:
            one(world)
            world.check()
        world.catch_up()
        world.check_told()
        full = {(row["model_output_id"], row["reviewer_id"]): row for row in exported(desk)[0]}
        ids = {str(row["id"]) for row in world.rows()}
        assert world.copy == {pair: row for pair, row in full.items() if pair[0] in ids}

    any_sequence()
    assert desk.counts()["repeats"] > 20
