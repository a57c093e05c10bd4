"""The commands for callbacks, and where a dead delivery is visible: status, doctor, metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prometheus_client.core import CollectorRegistry
from prometheus_client.exposition import generate_latest

from console.cli import main
from console.doctor import work
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from sync.gauges import Window
from tests.support.hops.callbacks import Desk, send
from tests.support.network.receiver import Receiver, receiver

Run = Callable[..., Result]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
def run(database: Database) -> Run:
    def invoke(*words: str, private: str = "127.0.0.1") -> Result:
        env = {"LABELLOOP_DATABASE_URL": database.url, "LABELLOOP_CALLBACK_PRIVATE": private, "USER": "ada"}
        return CliRunner().invoke(main, list(words), env=env)

    return invoke


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def added(run: Run, url: str, *words: str) -> dict[str, Any]:
    done = run("callback", "add", url, "--json", *words)
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_add_prints_the_secret_once_and_no_list_shows_it(desk: Desk, run: Run, there: Receiver) -> None:
    done = run("callback", "add", there.url("/200"), "--loop", "pets")
    secret = done.stdout.strip()
    assert secret.startswith("whsec_")
    assert done.exit_code == 0
    assert secret not in done.stderr
    for words in (("callback", "list"), ("callback", "list", "--json"), ("callback", "deliveries", "--json")):
        assert secret not in run(*words).output
    (row,) = json.loads(run("callback", "list", "--json").stdout)
    assert (row["events"], row["created_by"]) == (["output.answered", "answer.changed"], "ada")
    assert run("callback", "test", row["id"][:8]).exit_code == 0
    assert there.arrived[0].verified(secret)["type"] == "callback.test"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("http://127.0.0.1:9/",), "leads to the private address 127.0.0.1"),
        (("http://127.0.0.1:9/",), "stop it, and start it again with LABELLOOP_CALLBACK_PRIVATE=HOST labelloop up"),
        (("http://8.8.8.8/",), "it needs https://"),
        (("https://8.8.8.8/", "--loop", "nowhere"), "no loop 'nowhere'; there are: pets"),
        (("https://8.8.8.8/", "--event", "output.deleted"), "is not one of 'output.answered'"),
    ],
)
def test_add_refuses_with_status_2_and_the_reason(desk: Desk, run: Run, words: tuple[str, ...], said: str) -> None:
    done = run("callback", "add", *words, private="")
    assert done.exit_code == 2
    assert said in done.stderr
    assert run("callback", "list").stdout == "none\n"


def test_a_test_that_fails_says_why(desk: Desk, run: Run, there: Receiver) -> None:
    one = added(run, there.url("/500"))
    done = run("callback", "test", one["id"])
    assert (done.exit_code, "answers 500" in done.stderr) == (1, True)


def test_a_dead_delivery_is_named_everywhere_until_it_is_repeated(desk: Desk, run: Run, there: Receiver) -> None:
    one = added(run, there.url("/500"), "--loop", "pets")
    desk.answer(desk.submit("a"), "dog")
    assert "dead_deliveries" not in run("status").stdout
    send(desk.database)
    assert finding(desk).says.startswith(f"deliveries that failed and are retried: 1 of callback {one['id'][:8]}")
    desk.later(24)
    send(desk.database)

    (row,) = json.loads(run("callback", "deliveries", "--dead", "--json").stdout)
    said = (row["event"], row["key"], row["state"], row["last_error"])
    assert said == ("output.answered", "a", "dead", "answers 500")
    assert json.loads(run("status", "--json").stdout)[0]["dead_deliveries"] == 1
    assert "dead_deliveries" in run("status").stdout
    (listed,) = json.loads(run("callback", "list", "--json").stdout)
    assert (listed["pending"], listed["dead"]) == (0, 1)
    assert finding(desk).says == f"1 dead delivery of callback {one['id'][:8]}"
    assert f'labelloop_callback_deliveries{{callback="{one["id"]}",state="dead"}} 1.0' in metrics(desk)

    there.answers["/500"] = 200
    assert "Sent again: 1 delivery." in run("callback", "repeat", "--dead").stderr
    send(desk.database)
    assert there.arrived[-1].id == row["id"]
    assert finding(desk).says == "0 deliveries pending to 1 callbacks"
    assert run("callback", "repeat", row["id"][:8]).exit_code == 0
    send(desk.database)
    assert [arrived.id for arrived in there.arrived] == [row["id"]] * 4


def test_a_paused_callback_is_a_fault_until_it_is_resumed(desk: Desk, run: Run, there: Receiver) -> None:
    one = added(run, there.url("/410"), "--loop", "pets")
    desk.answer(desk.submit("a"), "dog")
    send(desk.database)
    assert f"callback {one['id'][:8]} is paused: answers 410 Gone" in finding(desk).says
    dead = json.loads(run("callback", "deliveries", "--json").stdout)[0]["id"]
    assert "`labelloop callback resume` first" in run("callback", "repeat", dead).stderr
    assert run("callback", "resume", one["id"][:6]).exit_code == 0
    again = run("callback", "resume", one["id"][:6])
    assert (again.exit_code, "is not paused" in again.stderr) == (2, True)


def test_remove_deletes_the_callback_and_says_what_was_not_sent(desk: Desk, run: Run, there: Receiver) -> None:
    one = added(run, there.url("/200"), "--loop", "pets")
    desk.answer(desk.submit("a"), "dog")
    done = run("callback", "remove", one["id"][:8])
    assert (done.exit_code, "with 1 delivery not made" in done.stderr) == (0, True)
    assert desk.states() == []
    gone = run("callback", "remove", one["id"])
    assert (gone.exit_code, "names no callback; there are: none" in gone.stderr) == (2, True)


@pytest.mark.parametrize("words", [(), ("abc", "--dead"), ("nothing",), ("%",), ("",), ("_" * 8,)])
def test_repeat_of_nothing_or_of_two_things_is_refused(desk: Desk, run: Run, words: tuple[str, ...]) -> None:
    desk.callback("https://8.8.8.8/")
    desk.answer(desk.submit("a"), "dog")
    assert run("callback", "repeat", *words).exit_code == 2


def finding(desk: Desk) -> Any:
    with desk.database.transaction() as conn:
        return work.callbacks(registered.list_(conn), registered.counts(conn))


def metrics(desk: Desk) -> str:
    registry = CollectorRegistry()
    registry.register(Window(desk.database))
    return generate_latest(registry).decode()
