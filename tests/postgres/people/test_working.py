"""The command people, its page and a person's own page show measures with intervals, and say where data are too few."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from backend.service import create_app
from labelloop.outputs.output import Output
from labelloop.process.settings import Settings
from labelloop.queue.lanes import place
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import access, loops, outputs
from sync.pull.opinions import settle_opinions
from tests.support.backend_factory import settings_for
from tests.support.hops.lineage import cli
from tests.support.hops.people import Said, put_to_people, say
from tests.support.review.opinions import spec_of

LABELS = ("cat", "dog", "eel")


def truth(i: int) -> str:
    return LABELS[i * 7 % 3]


def asked(database: Database) -> LoopSpec:
    """Three people answer 120 items, 30 of them gold; Rob says anything. A fourth answered twice."""
    spec = spec_of("  overlap: 3\n  consensus: dawid-skene\n")
    with database.transaction() as conn:
        loops.register(conn, spec)
        made = [
            Output(f"item-{i}", {"text": f"text {i}"}, label=truth(i) if i % 3 else "eel", confidence=0.5,
                   model_version="v", gold=truth(i) if i % 4 == 0 else None)
            for i in range(120)
        ]  # fmt: skip
        outputs.insert(conn, spec.name, [outputs.Row.of(one, place(one, spec)) for one in made])
    ids = put_to_people(database, spec.name)
    good = [Said(i, p, truth(i), 2 * i + p / 10, 4 + i % 5) for i in range(120) for p in (1, 2)]
    rob = [Said(i, 3, LABELS[(i * i + i // 3) % 3], 2 * i + 0.5, 5) for i in range(120)]
    say(database, spec, ids, [*good, *rob, Said(0, 4, truth(0), 500), Said(1, 4, truth(1), 501)])
    settle_opinions(database, spec)
    return spec


@pytest.fixture
def settings(database: Database, database_url: str, tmp_path: Path) -> Settings:
    asked(database)
    return replace(settings_for(database_url, tmp_path), secret_key="a long random text")


def told(settings: Settings, *words: str) -> str:
    said = cli(settings, *words)
    assert said.exit_code == 0, said.output
    return said.output


def test_the_command_the_page_and_the_own_page_show_what_the_answers_say(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    people = {row["name"]: row["working"] for row in json.loads(told(settings, "people", "--json"))}
    assert {name: one["status"] for name, one in people.items()} == {
        "Anna": "fine", "Ben": "fine", "Rob": "look at", "Cleo": "too few answers"}  # fmt: skip
    anna, rob, cleo = people["Anna"], people["Rob"], people["Cleo"]
    assert (anna["gold"]["n"], anna["gold"]["of"], anna["agreement"]["of"]) == (30, 30, anna["agreement"]["n"])
    assert 0.85 < anna["gold"]["low"] < anna["gold"]["value"] == 1.0
    assert {flag["reason"] for flag in rob["flags"]} >= {"errs often on gold", "differs from the others"}
    assert rob["gold"]["high"] < 0.7
    assert sum(part["of"] for part in rob["by_label"].values()) == rob["agreement"]["of"] == 90
    assert any(cell["value"] and cell["low"] < cell["value"] < cell["high"] for cell in rob["confusion"])
    assert (cleo["speed"]["value"], cleo["gold"]["value"], cleo["gold"]["of"]) == (None, None, 1)
    assert anna["load"]["share"] == pytest.approx(120 / 362)
    assert anna["fatigue"]["slower"] == {"value": None, "low": None, "high": None, "of": 1, "least": 5}

    table = told(settings, "people")
    assert re.search(r"Look at Rob: errs often on gold\. \d+ of 30 answers to gold are incorrect", table), table
    alone = told(settings, "people", "--person", "user 4")
    assert "too few: 1 of 10" in alone
    assert "Anna" not in alone
    unknown = cli(settings, "people", "--person", "Zoe")
    assert (unknown.exit_code, "there are: Anna, Ben, Cleo, Rob" in unknown.output) == (2, True)

    def path_of(person: str) -> str:
        return told(settings, "people", "link", person, "--days", "2").splitlines()[0].partition("8602")[2]

    client, path = create_app(settings, database).test_client(), path_of("anna")
    own = client.get(path)
    assert own.status_code == 200
    assert "Your answers in pets" in own.text
    assert "100 % (88 to 100; 30 of 30)" in own.text
    assert "Rob" not in own.text
    assert "look at" not in client.get(path_of("rob")).text
    assert client.get(path[:-3] + "abc").status_code == 404
    assert client.get("/review/loops/pets/working").status_code == 303, "everybody's page needs a login"
    with database.transaction() as conn:
        token = access.add(conn, "olga", ["review"])
    head = {"Authorization": f"Bearer {token}"}
    page = client.get("/review/loops/pets/working", headers=head)
    assert (page.status_code, "Rob" in page.text, "errs" in page.text or "incorrect" in page.text) == (200, True, True)
    one = client.get("/v1/review/loops/pets/working?person=rob", headers=head).get_json()
    assert [row["name"] for row in one["people"]] == ["Rob"]
