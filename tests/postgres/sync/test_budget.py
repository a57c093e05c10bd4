"""The budget of a day, on the real Postgres and by the real push, without Label Studio's part of it."""

from __future__ import annotations

from collections import Counter

import pytest

from labelloop.errors import SpecError
from labelloop.outputs.output import Output
from labelloop.queue.batches import BatchState
from labelloop.store import budget
from labelloop.store.database import Database
from sync.push.batches import put_back
from sync.push.budget import pass_over
from sync.push.claims import Claims
from tests.support.hops.days import MIXED, Days, output, spec, ten


def test_over_the_budget_the_most_useful_are_kept_and_the_rest_compete_the_next_day(database: Database) -> None:
    days = Days(database, "{per_day: 3}")
    days.submit(*ten())
    assert days.push() == ["k0", "k1", "k2"]
    days.submit(output("late", 0.1))
    assert days.push() == [], "the day is over its budget, however useful the newcomer"
    days.sleep()
    assert days.push() == ["late", "k3", "k4"]
    assert Counter(days.states().values()) == {"in_review": 6, "waiting": 5}
    assert days.status("k9")["will_be_asked"]


def test_a_day_is_one_of_the_calendar_in_utc(database: Database) -> None:
    days = Days(database, "{per_day: 3}")
    days.submit(*ten())
    days.push()
    begins = "date_trunc('day', now() at time zone 'utc') at time zone 'utc'"
    for at, n in ((begins, 0), (f"{begins} - interval '1 microsecond'", 3)):
        with database.transaction() as conn:
            conn.execute(f"set time zone 'Pacific/Auckland'; update tasks set pushed_at = {at}")
        assert len(days.push()) == n


def test_each_source_and_each_label_has_its_own_limit(database: Database) -> None:
    days = Days(database, '{per_source: {mail: 2, "*": 3}, per_label: {dog: 4}}')
    days.submit(*ten("mail", source="mail"), *ten("chat", source="chat"), *ten("none"))
    days.submit(*ten("dog", source="dogs", label="dog"), *[output(f"pup{i}", 0.6, "dog", f"s{i}") for i in range(5)])
    assert Counter(key[:-1] for key in days.push()) == {"mail": 2, "chat": 3, "none": 3, "dog": 3, "pup": 1}
    pushed = {key for key, state in days.states().items() if state == "in_review"}
    assert pushed >= {"mail0", "mail1", "chat0", "none2", "dog2", "pup0"}
    assert days.push() == []
    days.sleep()
    assert Counter(key[:-1] for key in days.push()) == {"mail": 2, "chat": 3, "none": 3, "dog": 3, "pup": 1}


def test_a_source_that_is_over_its_limit_hides_no_other_however_many_useful_outputs_it_has(database: Database) -> None:
    days = Days(database, "{per_source: 5}", "holdout: 0, audit: 0, queue: {window: 30, diversity: 0.3}")
    days.submit(*[output(f"a{i}", 0.1, source="a") for i in range(300)])
    days.submit(*[output(f"b{i}", 0.2, source="b") for i in range(300)])
    days.submit(*[output(f"c{i}", 0.3, source="c") for i in range(300)])
    assert Counter(key[0] for key in days.push()) == {"a": 5, "b": 5, "c": 5}


def test_selection_still_chooses_different_outputs_within_a_limit(database: Database) -> None:
    days = Days(database, "{per_source: {a: 2}}", "holdout: 0, audit: 0, queue: {window: 3}")
    text = "please cancel the order number {} that I placed on your site last week, and send me my money back"
    for i in range(9):
        days.submit(Output(f"copy{i}", {"text": text.format(i)}, label="cat", confidence=0.5, source="a"))
    days.submit(output("other", 0.6, source="a"), output("more", 0.7, source="b"))
    assert sorted(days.push()) == ["copy0", "more", "other"]


DRAWN = "select lane::text, count(*) as n from pool where lane <> 'rule' group by 1 order by 1"


def many(n: int) -> list[Output]:
    made = [output(f"k{i}", 0.8 + 0.2 * (i % 97) / 97, source="ab"[i % 2]) for i in range(n)]
    gold = [Output(f"gold{i}", {"text": "x"}, label="cat", confidence=0.5, gold="cat") for i in range(n // 20)]
    return made + gold


def test_the_limit_of_the_day_holds_for_all_lanes_and_leaves_their_shares_as_they_are(database: Database) -> None:
    days = Days(database, "{per_day: 100}", MIXED)
    days.submit(*many(2_000))
    assert len(days.push()) == 100
    with database.transaction() as conn:
        came = {row["lane"]: row["n"] for row in conn.execute("select lane::text, count(*) as n from tasks group by 1")}
        order = """
            select bool_and(not exists (
                select from pool p where p.loop = t.loop and p.lane = t.lane and p.utility > t.utility)) as first
            from tasks t
        """
        row = conn.execute(order).fetchone()
    assert came == {"rule": 50, "control": 10, "audit": 10, "holdout": 20, "gold": 10}
    assert row is not None
    assert row["first"], "of each lane the first in its own order, which is random where chance chose"


def test_limits_of_sources_and_labels_hold_nothing_back_that_chance_chose(database: Database) -> None:
    days = Days(database, "{per_source: {a: 1}, per_label: {cat: 1}}", MIXED)
    days.submit(*many(400))
    days.push()
    with database.transaction() as conn:
        left = {row["lane"]: row["n"] for row in conn.execute("select lane::text, count(*) as n from pool group by 1")}
        came = conn.execute("select count(*) as n from tasks where lane = 'rule'").fetchone()
    assert set(left) == {"rule"}
    assert came is not None
    assert came["n"] <= 1


def test_outputs_over_the_budget_pass_at_the_end_of_the_day_and_say_so(database: Database) -> None:
    days = Days(database, "{per_day: 3, over: pass}")
    days.submit(*ten())
    days.push()
    assert days.push() == []
    assert days.status("k9")["state"] == "waiting"
    days.sleep()
    days.submit(output("new", 0.7))
    assert days.push() == ["new"]
    assert Counter(days.states().values()) == {"in_review": 4, "passed": 7}
    status = days.status("k9")
    assert (status["state"], status["will_be_asked"], status["lane"]) == ("passed", False, "rule")
    with database.transaction() as conn:
        rows = conn.execute(
            """
            select distinct state_reason, inclusion_probability, triggered, (pushed_at at time zone 'utc')::date as day
            from outputs o, (select min(pushed_at) as pushed_at from tasks) t where o.state = 'passed'
            """
        ).fetchall()
    assert [(row["inclusion_probability"], row["triggered"]) for row in rows] == [(None, True)]
    assert rows[0]["state_reason"] == f"over the budget of {rows[0]['day']}: per_day"
    assert days.push() == []


def test_only_what_a_used_up_limit_kept_out_passes(database: Database) -> None:
    days = Days(database, "{per_day: 100, per_source: {a: 2}, per_label: {dog: 1}, over: pass}")
    days.submit(*ten("a", source="a"), *ten("d", label="dog", source="b"))
    assert sorted(days.push()) == ["a0", "a1", "d0"]
    days.submit(output("b0", 0.7, source="b"))  # waits, and nothing kept it out
    days.sleep()
    days.submit(output("a-new", 0.7, source="a"))
    assert sorted(days.push()) == ["a-new", "b0"]
    with database.transaction() as conn:
        reasons = conn.execute("select key, split_part(state_reason, ': ', 2) as r from outputs where state = 'passed'")
        found = {(row["key"][0], row["r"]) for row in reasons}
    assert found == {("a", "per_source a"), ("d", "per_label dog")}


def test_chance_lanes_never_pass(database: Database) -> None:
    days = Days(database, "{per_day: 10, over: pass}", MIXED)
    days.submit(*many(400))
    days.push()
    with database.transaction() as conn:
        before = conn.execute(DRAWN).fetchall()
    days.sleep()
    pass_over(database, days.spec)
    with database.transaction() as conn:
        after = conn.execute(DRAWN).fetchall()
        rule = conn.execute("select from pool where lane = 'rule'").fetchone()
    assert after == before
    assert before
    assert rule is None


def test_a_worker_that_was_away_for_days_lets_pass_what_the_last_day_kept_out(database: Database) -> None:
    days = Days(database, "{per_day: 3, over: pass}")
    days.submit(*ten())
    days.push()
    days.sleep(2)
    days.submit(output("yesterday", 0.8))
    with database.transaction() as conn:
        conn.execute("update outputs set received_at = received_at - interval '1 day' where key = 'yesterday'")
    assert days.push() == ["yesterday"]
    assert days.states()["k3"] == "passed"


def test_without_a_used_up_limit_nothing_passes(database: Database) -> None:
    days = Days(database, "{per_day: 30, over: pass}", "holdout: 0, audit: 0, queue: {window: 4, diversity: 0}")
    days.submit(*ten())
    assert len(days.push()) == 4
    days.sleep()
    assert days.push() == []
    assert Counter(days.states().values()) == {"in_review": 4, "waiting": 6}, "the window was full, not the day"


def test_tasks_on_their_way_count_and_those_that_did_not_arrive_do_not(database: Database) -> None:
    days = Days(database, "{per_day: 3}")
    days.submit(*ten())
    claim = Claims(database, days.spec, lambda: None).next()
    assert claim is not None
    assert claim.batch_id is not None
    assert days.push() == []
    with database.transaction() as conn:
        put_back(conn, claim.batch_id, BatchState.INTENT, BatchState.ABANDONED, "it was never sent")
    assert days.push() == ["k0", "k1", "k2"]


def test_the_last_tasks_of_a_day_come_while_people_answer_too(database: Database) -> None:
    """A busy worker waits until 15 of 50 places are free. A budget that leaves 3 must not count as 3 free places."""
    days = Days(database, "{per_day: 3}", "holdout: 0, audit: 0, queue: {window: 50, diversity: 0}")
    days.submit(*ten())
    assert Claims(database, days.spec, lambda: None, 15).next() is not None


def test_the_label_of_the_pipeline_counts_and_not_that_of_the_champion(database: Database) -> None:
    days = Days(database, "{per_label: 2}")
    days.submit(*ten(source="a"))
    with database.transaction() as conn:
        conn.execute("update pool set label = 'dog'")
    assert len(days.push()) == 2
    with database.transaction() as conn:
        spent = budget.spent(conn, days.spec)
    assert spent is not None
    assert dict(spent.tasks) == {("a", "cat"): 2}
    assert spent.exhausted().words() == "per_label cat"


@pytest.mark.parametrize("limits", ["{}", "{over: pass}", "{per_day: 0}", "{per_source: 0}", "{per_label: {cta: 3}}"])
def test_a_budget_that_cannot_hold_is_refused(limits: str) -> None:
    with pytest.raises(SpecError):
        spec(limits)
