"""Recorded chat completions in a file become outputs. Each line that cannot is refused alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from console.cli import main
from console.files.completions import Completions, requests_in
from console.files.lines import Refused, Source
from labelloop.errors import UsageError
from tests.support.data.payloads import payload

LABELS = ["billing", "delivery", "other"]
SURE = payload("chat_completions.json")["sure"]
SYSTEM = {"role": "system", "content": "Answer with one label."}
PARTS = [{"type": "text", "text": "The invoice "}, {"type": "text", "text": "is wrong."}]


def read(path: Path, rows: Sequence[Any], **how: Any) -> tuple[list[dict[str, Any]], list[Refused]]:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    options = {"labels": LABELS, "label": "approve", **how}
    lines = [line for _, line in Source(str(path), completions=Completions(**options)).lines()]
    refused = [line for line in lines if isinstance(line, Refused)]
    return [json.loads(line) for line in lines if not isinstance(line, Refused)], refused


def answered(custom_id: str, body: Any = SURE, status: int = 200, error: Any = None) -> dict[str, Any]:
    """A line of the output file of a batch."""
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": error}


def asked(custom_id: str, content: Any) -> dict[str, Any]:
    """A line of the input file of a batch."""
    body = {"model": "small", "messages": [SYSTEM, {"role": "user", "content": content}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def questions(path: Path, *rows: Mapping[str, Any]) -> dict[str, Any]:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return requests_in(str(path), None)


def test_a_batch_and_its_input_file_are_joined_by_their_ids(tmp_path: Path) -> None:
    known = questions(tmp_path / "in.jsonl", asked("r2", PARTS), asked("r1", "Where is my parcel?"))
    good, bad = read(tmp_path / "out.jsonl", [answered("r1"), "", answered("r2")], requests=known)
    assert [(row["key"], row["data"]) for row in good] == [
        ("r1", {"text": "Where is my parcel?"}),
        ("r2", {"text": "The invoice is wrong."}),
    ]
    assert good[0]["probabilities"]["billing"] == pytest.approx(0.8)
    assert (good[0]["model_version"], bad) == ("small-chat-2026-01-01", [])


def test_a_line_of_a_logger_has_data_a_text_or_messages_and_other_fields_of_its_output(tmp_path: Path) -> None:
    messages = [SYSTEM, {"role": "user", "content": "First"}, {"role": "assistant", "content": "x"},
                {"role": "user", "content": "Where?"}]  # fmt: skip
    rows = [
        {"key": 7, "text": "Broken", "completion": SURE, "source": "chat", "model_version": "prompt-4"},
        {"key": "b", "data": {"text": "Late", "id": 3}, "completion": SURE, "meta": {"tier": "gold"}},
        {"key": "c", "messages": messages, "completion": SURE},
    ]
    good, bad = read(tmp_path / "a.jsonl", rows)
    assert [row["data"] for row in good] == [{"text": "Broken"}, {"text": "Late", "id": 3}, {"text": "Where?"}]
    assert (good[0]["key"], good[0]["source"], good[0]["model_version"]) == ("7", "chat", "prompt-4")
    assert (good[1]["meta"], bad) == ({"tier": "gold"}, [])


def test_a_form_that_judges_texts_shows_the_question_and_the_answer(tmp_path: Path) -> None:
    rows = [{"key": "a", "text": "Where is it?", "completion": SURE}]
    good, _ = read(tmp_path / "a.jsonl", rows, labels=["approve", "reject"])
    assert good[0]["data"] == {"question": "Where is it?", "answer": SURE["choices"][0]["message"]["content"]}
    assert good[0]["label"] == "approve"
    assert "confidence" not in good[0]


def test_a_label_in_json_and_a_completion_without_any(tmp_path: Path) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"label": "other"}'}}
    rows = [{"key": "a", "text": "x", "completion": {"choices": [choice]}}]
    assert read(tmp_path / "a.jsonl", rows, json_field="label")[0][0]["label"] == "other"
    (refused,) = read(tmp_path / "a.jsonl", rows)[1]
    assert (refused.field, refused.message[:40]) == ("label", "the completion names none of the labels ")
    (made,) = read(tmp_path / "a.jsonl", rows, otherwise="delivery")[0]
    assert (made["label"], "confidence" in made) == ("delivery", False)


@pytest.mark.parametrize(
    ("row", "key", "field", "said"),
    [
        ("{", None, "", "JSON"),
        (answered("r1", None, 500), "r1", "response", "the request failed: status 500"),
        (answered("r1", {"error": {"message": "too long"}}, 400), "r1", "response", "status 400, too long"),
        ({"custom_id": "r1", "response": None, "error": {"code": "batch_expired", "message": "expired"}}, "r1",
         "response", "expired"),
        (answered("r9"), "r9", "custom_id", "name the input file of the batch by --requests"),
        (answered("r1", {"object": "list"}), "r1", "", "it has no choices"),
        (answered("r1", {"choices": [7]}), "r1", "", "does not have the shape of a chat completion"),
        ({"custom_id": ["r1"], "response": {}}, "['r1']", "custom_id", "must be a text or an integer"),
        ({"custom_id": "r1", "response": [1]}, "r1", "", "does not have the shape"),
        ({"key": "a", "completion": SURE}, "a", "", "one of `data`, `text` and `messages`"),
        ({"key": "a", "text": "x", "data": {}, "completion": SURE}, "a", "", "one of `data`, `text` and `messages`"),
        ({"key": "a", "text": "x"}, "a", "", "wanted are `key`, `completion`"),
        ({"text": "x", "completion": SURE}, None, "key", "is missing"),
        ({"key": "a", "text": "x", "completion": SURE, "sorce": "b"}, "a", "sorce", "did you mean 'source'"),
        ({"key": "a", "messages": [SYSTEM], "completion": SURE}, "a", "messages", "has no message of the user"),
        ({"key": "a", "messages": "x", "completion": SURE}, "a", "", "does not have the shape"),
        ({"key": "a", "messages": 7, "completion": SURE}, "a", "", "does not have the shape"),
        ({"key": "a", "text": 7, "completion": SURE}, "a", "text", "must be a text"),
        ({"key": "a", "data": "x", "completion": SURE}, "a", "data", "must be an object"),
        ({"key": "a", "text": "x", "completion": None}, "a", "", "is no chat completion"),
    ],
)  # fmt: skip
def test_each_malformed_line_is_refused_alone_and_between_good_ones(
    tmp_path: Path, row: Any, key: str | None, field: str, said: str
) -> None:
    good = {"key": "good", "text": "x", "completion": SURE}
    for rows, line in (([row], 1), ([good, row, good], 2)):
        found, (refused,) = read(tmp_path / "a.jsonl", rows, requests={"r1": "Where?"})
        assert (len(found), refused.line, refused.key, refused.field) == (len(rows) - 1, line, key, field)
        assert said in refused.message
        assert "(output" not in refused.message, "the report names the key itself"


def test_a_line_that_is_no_object_is_refused_alone(tmp_path: Path) -> None:
    good = {"key": "good", "text": "x", "completion": SURE}
    found, (refused,) = read(tmp_path / "a.jsonl", [good, 7, good])
    assert (len(found), refused.line, refused.key, refused.message) == (2, 2, None, "is not a JSON object")


@pytest.mark.parametrize("row", ["{", '{"custom_id": "a"}', '{"custom_id": "a", "body": {"messages": []}}', "[]"])
def test_an_input_file_that_is_none_is_refused_with_its_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps(asked("r1", "x")) + "\n" + row)
    with pytest.raises(UsageError, match=r"in\.jsonl, line 2: is no request for a chat completion"):
        requests_in(str(tmp_path / "in.jsonl"), None)
    with pytest.raises(UsageError, match="No such file"):
        requests_in(str(tmp_path / "none.jsonl"), None)


def test_try_takes_the_labels_of_the_loop_and_refuses_options_that_do_not_fit(tmp_path: Path) -> None:
    loop = tmp_path / "loops" / "tickets" / "loop.yaml"
    loop.parent.mkdir(parents=True)
    loop.write_text("feedback_loop: {trigger: model_confidence < 0.9, labels: [billing, delivery, other]}")
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"key": "a", "text": "x", "completion": SURE}))
    env = {"LABELLOOP_LOOPS_DIR": str(tmp_path / "loops"), "LABELLOOP_DATA_DIR": str(tmp_path)}

    def run(*words: str) -> Any:
        return CliRunner().invoke(main, ["try", str(file), *words], env=env)

    (row,) = json.loads(run("--from", "openai", "--json").stdout)
    assert (row["key"], row["label"], row["asked"], round(row["confidence"], 2)) == ("a", "billing", True, 0.8)
    for words, said in (
        (["--otherwise", "other"], "--otherwise needs --from openai"),
        (["--from", "openai", "--otherwise", "oter"], "which the form does not have; there are: billing"),
        (["--from", "openai", "--map", "key=id"], "completions have no columns"),
    ):
        found = run(*words)
        assert (found.exit_code, said in found.stderr) == (2, True), found.stderr
