"""Logging: one line an event, for people or for programs."""

from __future__ import annotations

import json
import logging

import pytest

from labelloop.errors import SettingsError
from labelloop.process import log


@pytest.fixture(autouse=True)
def _as_it_was() -> object:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def said(style: str, capsys: pytest.CaptureFixture[str]) -> str:
    log.configure(style)
    logging.getLogger("backend.x").info("request", extra={"route": "predict", "ms": 1.5})
    try:
        raise ValueError("no\nsuch")
    except ValueError:
        logging.getLogger("backend.x").exception("failed", extra={"loop": "digits"})
    logging.getLogger("a.library").info("its own")
    return capsys.readouterr().err


def test_nothing_that_somebody_sends_begins_a_line_or_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("plain")
    logging.getLogger("sync.x").warning("output %s", "a\nERROR b\x1b[2J\u2028c", extra={"key": "d\r\x9be"})
    said = capsys.readouterr().err
    assert said.splitlines() == [said.rstrip("\n")], "one line"
    assert said.endswith("output a\\nERROR b\\x1b[2J\\u2028c key=d\\r\\x9be\n")


def test_json_is_one_object_a_line_with_the_facts_beside_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    request, failure = map(json.loads, said("json", capsys).splitlines())
    assert request.items() >= {"level": "INFO", "logger": "backend.x", "message": "request", "ms": 1.5}.items()
    assert request["at"].endswith("+00:00")
    assert failure["loop"] == "digits"
    assert failure["exception"].endswith("ValueError: no\nsuch")


def test_plain_has_the_facts_behind_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert said("plain", capsys).splitlines()[0].endswith("INFO backend.x: request route=predict ms=1.5")


def test_another_style_is_refused_by_the_name_of_the_setting() -> None:
    with pytest.raises(SettingsError, match=r"LABELLOOP_LOG is 'xml'; there are: plain, json"):
        log.configure("xml")
