"""The hosting process: runs a user's LabelStudioMLBase, of label-studio-ml 1.x or of the 2.x interface.

The interpreter of the model's own environment runs it as `python host.py MEMORY` in the model's folder, MODEL_DIR. So
it imports only the standard library (3.9 and later) and the user's module. A request is a line of JSON on standard
input, {"do", ...}. Its answer is a line on standard output, {"said"} or {"error"}, in the same order. When its standard
input ends, it exits, kills every process that the model started, and removes the folder.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import queue
import resource
import secrets
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
BASE = "label_studio_ml.model.LabelStudioMLBase"
PROJECT = 1
"""The id of the only project that the model ever sees."""
PRIVATE = "labelloop-model-"
"""Prefix of the name of a model's private folder."""


def main() -> None:
    memory = int(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (memory, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # whatever the model prints is a log line, not an answer
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    host = Host()
    while True:
        request = json.loads(waiting.get())
        try:
            line = json.dumps({"said": getattr(host, "do_" + request["do"])(request)}, default=_plain)
        except (Exception, SystemExit) as exc:
            traceback.print_exc()
            line = json.dumps({"error": f"{type(exc).__name__}: {exc}"[:2000]})
        rest = memoryview(line.encode() + b"\n")
        while rest:
            rest = rest[os.write(answers, rest) :]


class Host:
    def __init__(self) -> None:
        self.model: Any = None
        self.modern = False
        self.label_config = ""

    def do_open(self, request: Json) -> Json:
        """Import the class and make the model from the state in MODEL_DIR, and for 1.x from `train_output`."""
        sys.path[0] = request["folder"]  # instead of ours
        module, _, name = request["model"].partition(":")
        found: Any = getattr(importlib.import_module(module), name)
        bases = {f"{base.__module__}.{base.__qualname__}": base for base in getattr(found, "__mro__", ())}
        if BASE not in bases:
            raise TypeError(f"{request['model']} is no subclass of {BASE}")
        self.modern = hasattr(bases[BASE], "use_label_config")
        self.label_config = request["label_config"]
        if self.modern:
            self.model = found(project_id=str(PROJECT), label_config=self.label_config)
        else:
            self.model = found(label_config=self.label_config, train_output=request["train_output"])
        return {"interface": "2.x" if self.modern else "1.x"}

    def do_fit(self, request: Json) -> Json:
        """Train it on the tasks. Its state is the content of MODEL_DIR, and for 1.x the result of `fit`."""
        tasks = request["tasks"]
        LabelStudio.label_config = self.label_config
        output = None
        if request["event"] == "START_TRAINING":
            output = self._fit(tasks, self._event("START_TRAINING", tasks[-1], tasks))
        else:
            for position, task in enumerate(tasks):
                output = self._fit(tasks[: position + 1], self._event(request["event"], task, tasks[: position + 1]))
        version = getattr(self.model, "model_version", None) if self.modern else None
        return {"train_output": None if self.modern else output, "version": None if version is None else str(version)}

    def do_predict(self, request: Json) -> list[Any]:
        """Return a prediction a task, {"result", "score", ...}; None if the model makes none."""
        tasks = request["tasks"]
        found = self.model.predict(tasks, context=None) if self.modern else self.model.predict(tasks)
        found = _plain(found) if hasattr(found, "model_dump") else found
        if isinstance(found, dict):
            found = found.get("predictions", found.get("results"))
        if not isinstance(found, list) or len(found) != len(tasks):
            said = f"{len(found)}" if isinstance(found, list) else type(found).__name__
            raise ValueError(f"predict must give a list of {len(tasks)} predictions; it gave {said}")
        return [(one[0] if one else None) if isinstance(one, list) else one for one in found]

    def _fit(self, tasks: list[Json], data: Json) -> Any:
        LabelStudio.tasks = tasks
        event = data["action"]
        further: Json = {"job_id": "labelloop"}
        if self.modern:
            return self.model.fit(event, data, **_taken(self.model.fit, further))
        own = type(self.model).process_event
        if f"{own.__module__}.{own.__qualname__}" != BASE + ".process_event":
            return self.model.process_event(event, data, further["job_id"], {"workdir": os.getcwd()})
        further.update(workdir=os.getcwd(), event=event, data=data)
        return self.model.fit(tasks, **_taken(self.model.fit, further))

    def _event(self, action: str, task: Json, tasks: list[Json]) -> Json:
        """Return the body of Label Studio's webhook, with the tasks added, which Label Studio does not send."""
        project = {"id": PROJECT, "title": "labelloop", "label_config": self.label_config}
        return {
            "action": action,
            "project": project,
            "task": task,
            "annotation": task["annotations"][0],
            "label_config": self.label_config,
            "tasks": tasks,
        }


class LabelStudio(BaseHTTPRequestHandler):
    """A stand-in for Label Studio's API, with the training answers only.

    Many models fetch all answers of their project for training. From the real Label Studio they would also get the
    held-out ones.
    """

    tasks: ClassVar[list[Json]] = []
    """All tasks that this stand-in for Label Studio has."""
    label_config = ""
    token = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        path = url.path.strip("/").split("/")
        if self.headers.get("Authorization") not in (f"Token {self.token}", f"Bearer {self.token}"):
            return self._answer({"detail": "the token is in LABEL_STUDIO_API_KEY"}, 401)
        if path in (["health"], ["api", "version"]):
            return self._answer({"status": "UP", "release": "1.23.2"})
        if path[:2] == ["api", "projects"] and path[3:] == ["export"]:
            return self._answer(self.tasks)
        if path[:2] == ["api", "projects"] and len(path) == 3:
            about = {"id": PROJECT, "title": "labelloop", "label_config": self.label_config}
            return self._answer({**about, "task_number": len(self.tasks), "parsed_label_config": {}})
        if path == ["api", "tasks"]:
            size, page = int(query.get("page_size", 100)), int(query.get("page", 1))
            tasks = self.tasks[size * (page - 1) : size * page]
            total = {"total": len(self.tasks), "total_annotations": len(self.tasks), "total_predictions": 0}
            return self._answer({"tasks": tasks, **total}, 200 if tasks or page == 1 else 404)
        if path[:2] == ["api", "tasks"] and len(path) == 3:
            found = [task for task in self.tasks if str(task["id"]) == path[2]]
            return self._answer(found[0] if found else {"detail": "no such task"}, 200 if found else 404)
        return self._answer({"detail": "labelloop answers for projects and tasks only"}, 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer({"detail": "a model that labelloop hosts changes nothing in Label Studio"}, 403)

    do_PUT = do_PATCH = do_DELETE = do_POST

    def _answer(self, body: Any, status: int = 200) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _taken(function: Callable[..., Any], keywords: Json) -> Json:
    """Return the keywords that the function takes."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return keywords
    return {name: value for name, value in keywords.items() if name in {parameter.name for parameter in parameters}}


def _plain(value: Any) -> Any:
    """Return plain JSON for pydantic's models and numpy's numbers and arrays, which json cannot write."""
    for method in ("model_dump", "tolist"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"Label Studio cannot read a {type(value).__name__}")


def _listen(requests: Any, waiting: queue.SimpleQueue[bytes]) -> None:
    for line in requests:
        waiting.put(line)
    if os.path.basename(os.getcwd()).startswith(PRIVATE):
        shutil.rmtree(os.getcwd(), ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _serve_label_studio() -> None:
    LabelStudio.token = secrets.token_hex(20)
    server = ThreadingHTTPServer(("127.0.0.1", 0), LabelStudio)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST"):
        os.environ[name] = f"http://127.0.0.1:{server.server_port}"
    for name in ("LABEL_STUDIO_API_KEY", "LABEL_STUDIO_ACCESS_TOKEN"):
        os.environ[name] = LabelStudio.token


if __name__ == "__main__":
    _serve_label_studio()
    main()
