"""The examples of the page about the rule are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

from console.cli import main
from labelloop.errors import SpecError
from labelloop.outputs.reading import from_json
from labelloop.queue.lanes import place
from labelloop.spec.folder import parse
from tests.support.data.rule_page import CHANGED, FILE, LOOP, PAGE, PRINTED, TRIED


def test_each_trigger_of_the_table_sends_the_output_or_not_as_the_page_says() -> None:
    output = from_json(json.loads(TRIED))
    rows = re.findall(r"^\| `(.*)` \| (yes|no|refused) \|$", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == 10
    for trigger, says in rows:
        text = f"feedback_loop:\n  trigger: |\n    {trigger}\n  labels: [delivery, refund, other]\n"
        try:
            spec = parse("tickets", text)
        except SpecError:
            assert says == "refused", trigger
            continue
        assert {True: "yes", False: "no"}[bool(place(output, spec).triggered)] == says, trigger


def test_try_prints_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "tickets").mkdir()
    (tmp_path / "tickets" / "loop.yaml").write_text(LOOP)
    (tmp_path / "outputs.ndjson").write_text(FILE)
    words = ["try", str(tmp_path / "outputs.ndjson"), "--loop", "tickets"]
    printed = CliRunner().invoke(main, words, env={"LABELLOOP_LOOPS_DIR": str(tmp_path)})
    assert printed.stdout == PRINTED[0]
    assert parse("tickets", CHANGED).trigger == "model_confidence < 1"
