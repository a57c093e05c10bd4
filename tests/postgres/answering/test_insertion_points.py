"""The examples of docs/pipelines/waiting.md run as they stand there."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from labelloop import Client, Output
from labelloop.store.database import Database
from tests.support.hops.answered import answer
from tests.support.network.sync_service import TOKEN

PAGE = (Path(__file__).parents[3] / "docs" / "pipelines" / "waiting.md").read_text()
SECTIONS = {title: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for title, text in re.findall(
    r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)}  # fmt: skip


@pytest.fixture
def names(service: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("LABELLOOP_SYNC_URL", service)
    monkeypatch.setenv("LABELLOOP_INTAKE_TOKEN", TOKEN)
    return {"client": Client(), "Client": Client}


def output(key: str, confidence: float = 0.6) -> Output:
    return Output(key=key, data={"text": "miaow"}, probabilities={"cat": confidence, "dog": 1 - confidence})


def run(section: str, names: dict[str, Any], changes: Mapping[str, str] = MappingProxyType({}), block: int = 0) -> None:
    (title,) = [title for title in SECTIONS if title.startswith(section)]
    code = SECTIONS[title][block]
    for old, new in changes.items():
        assert old in code
        code = code.replace(old, new)
    exec(code, names)


def test_wait_for_an_answer(names: dict[str, Any], pets: Database, capsys: pytest.CaptureFixture[str]) -> None:
    names["client"].submit(output("ticket/17"))
    person = threading.Timer(0.3, answer, (pets, "pets", "ticket/17", "dog"))
    person.start()
    run("Wait for an answer", names)
    person.join()
    assert capsys.readouterr().out == "dog\n"


def test_an_awaited_client_decides_too(names: dict[str, Any]) -> None:
    run("Wait for an answer", names, block=1)
    assert asyncio.run(names["decided"](output("async/1"))) == "escalate"
    assert asyncio.run(names["decided"](output("async/2", 0.95))) == "cat"


def test_post_processing(names: dict[str, Any], pets: Database) -> None:
    went: list[tuple[str, Any]] = []
    names |= {"stop": lambda key: went.append((key, "stopped")), "go_on": lambda key, value: went.append((key, value))}
    names["client"].submit(output("refund/17"))
    person = threading.Timer(0.3, answer, (pets, "pets", "refund/17", "dog"))
    person.start()
    run("Post-processing", names)
    person.join()
    names["client"].submit([output("refund/18"), output("refund/19")])
    short = {"4 * 3600": "0.1", "refund/17": "refund/18"}
    run("Post-processing", names, short)
    run("Post-processing", names, {**short, "refund/17": "refund/19", ', fallback="pay"': ""})
    assert went == [("refund/17", "dog"), ("refund/18", "pay"), ("refund/19", "stopped")]


def test_real_time(names: dict[str, Any], pets: Database) -> None:
    said: list[Any] = []
    names |= {"respond": said.append, "output": output("live/1")}
    run("Real-time", names)
    names["output"] = output("live/2", 0.95)
    run("Real-time", names)
    assert said == ["escalate", "cat"]
    names |= {"output": output("live/3"), "count_as_dropped": said.append}
    run("Real-time", names, block=1)
    assert names["background"].close(10)
    assert names["client"].get("live/3") is not None
    assert len(said) == 2


def test_asynchronous_batch(names: dict[str, Any], pets: Database, capsys: pytest.CaptureFixture[str]) -> None:
    published: dict[str, str] = {}
    names |= {"publish": published.__setitem__}
    names["outputs"] = [output(f"batch/{i}", 0.6 if i < 3 else 0.95) for i in range(10)]
    names["client"].submit(names["outputs"])
    people = [threading.Timer(0.3, answer, (pets, "pets", f"batch/{i}", "dog")) for i in range(2)]
    for person in people:
        person.start()
    run("Asynchronous batch", names)
    for person in people:
        person.join()
    assert capsys.readouterr().out == "3 of 10 will be asked\n"
    assert published == {f"batch/{i}": "dog" if i < 2 else "cat" for i in range(10)}
