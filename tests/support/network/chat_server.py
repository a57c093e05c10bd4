"""A real server that speaks the chat protocol, on a free port of this process; what it says depends on the item."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, jsonify, request
from werkzeug.serving import make_server

KEY = "sk-of-tests"


class ChatServer:
    """Says the first label that occurs in the item, with probability 0.9; some words in it make it do otherwise."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        self.together = self.most_together = 0
        self.free = threading.Event()
        """The event that `slow` items wait for."""
        self.app = Flask(__name__)
        self.app.add_url_rule("/v1/chat/completions", view_func=self.completions, methods=["POST"])
        self._lock = threading.Lock()

    def completions(self) -> Any:
        body = request.get_json()
        item = body["messages"][-1]["content"]
        with self._lock:
            self.bodies.append(body)
            self.asked[item] += 1
            n = self.asked[item]
            self.together += 1
            self.most_together = max(self.most_together, self.together)
        try:
            return self._answer(body, item, n)
        finally:
            with self._lock:
                self.together -= 1

    def _answer(self, body: dict[str, Any], item: str, n: int) -> Any:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return jsonify(error=f"wrong key {request.headers.get('Authorization')}"), 401
        if "slow" in item:
            self.free.wait(60)
        if "busy" in item and n < 3:
            return jsonify(error="too many requests"), 429, {"Retry-After": "0"}
        if "broken" in item:
            return jsonify(error="out of order"), 500, {"Retry-After": "0"}
        if "long" in item:
            return jsonify(error="the context is too long"), 400
        if "malformed" in item:
            return "<html>"
        labels = body["messages"][0]["content"].splitlines()
        said = next((label for label in labels if label in item), "something else entirely")
        if "json" in item:
            said = f'{{"label": "{said}"}}'
        if " answers " in item:  # the n-th of the answers that it names, separated by |
            answers = item.split(" answers ", 1)[1].split("|")
            said = answers[(n - 1) % len(answers)]
        if "varies" in item and n % 4 == 0:
            said = "ham"
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": said}}
        if body.get("logprobs") and "unsure" not in item:
            choice["logprobs"] = {"content": [{"token": said, "logprob": math.log(0.9)}]}
        return jsonify(id="1", object="chat.completion", model=body["model"], choices=[choice])


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    chat = ChatServer()
    server = make_server("127.0.0.1", 0, chat.app, threaded=True)
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield chat
    finally:
        chat.free.set()
        server.shutdown()
        thread.join()
        server.server_close()
