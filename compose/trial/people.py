"""A pipeline that submits, and a person who logs in to Label Studio and answers: over HTTP only, as they do it.

people.py SECRETS submit FILE        submits the outputs in FILE (NDJSON)
people.py SECRETS answer TRUTH N     answers N tasks of the loop `digits`; TRUTH: JSON, end of a picture to its digit
"""

from __future__ import annotations

import http.cookiejar
import json
import re
import ssl
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = "https://localhost"
"""The proxy of the profile `tls`, in front of all three."""
PERSON = "admin@example.org"
SOON_S = 60.0
"""The window is refilled within this time."""


class Browser:
    """Keeps cookies and says where it comes from."""

    def __init__(self, folder: Path) -> None:
        self._jar = http.cookiejar.CookieJar()
        self._opener = opener(folder, urllib.request.HTTPCookieProcessor(self._jar))

    def ask(self, path: str, data: bytes | None = None, content: str = "application/json") -> tuple[int, bytes]:
        headers = {"Origin": HERE, "Referer": HERE + path, "Content-Type": content}
        headers["X-CSRFToken"] = next((c.value or "" for c in self._jar if c.name == "csrftoken"), "")
        return call(self._opener, urllib.request.Request(HERE + path, data, headers))

    def log_in(self, password: str) -> None:
        _, page = self.ask("/user/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.decode())
        assert token, "the login page has no form"
        form = {"csrfmiddlewaretoken": token[1], "email": PERSON, "password": password}
        self.ask("/user/login/", urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded")
        status, who = self.ask("/api/current-user/whoami")
        assert status == 200, f"not logged in: {status} {who[:200]!r}"


def opener(folder: Path, *more: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    trusted = ssl.create_default_context(cafile=str(folder / "tls" / "fullchain.pem"))
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=trusted), *more)


def secret(folder: Path, name: str) -> str:
    return (folder / "secrets" / name).read_text().strip()


def call(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with opener.open(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def submit(folder: Path, file: str) -> None:
    headers = {"Authorization": f"Bearer {secret(folder, 'intake_token')}", "Content-Type": "application/x-ndjson"}
    request = urllib.request.Request(f"{HERE}/v1/loops/digits/outputs", Path(file).read_bytes(), headers)
    status, said = call(opener(folder), request)
    receipt = json.loads(said)
    print("submit:", status, {name: receipt.get(name) for name in ("new", "known")})
    assert status in (200, 201, 202), said[:300]


def routes(folder: Path) -> None:
    with opener(folder).open(f"{HERE}/user/login/") as page:
        assert "max-age" in (page.headers["Strict-Transport-Security"] or ""), "no HSTS"
    expected = {
        "/v1/review/overview": 401,  # backend asks for a token
        "/v1/loops/digits": 401,  # so does sync
        "/review/login": 200,
        "/hooks/label-studio/digits": 404,  # Label Studio's: it alone rings there, from inside
        "/predict": 404,
        "/readyz": 404,
    }
    found = {path: call(opener(folder), urllib.request.Request(HERE + path))[0] for path in expected}
    assert found == expected, found


def answer(folder: Path, truth_file: str, count: str) -> None:
    truth = json.loads(Path(truth_file).read_text())
    browser = Browser(folder)
    browser.log_in(secret(folder, "label_studio_password"))
    projects = json.loads(browser.ask("/api/projects?page_size=50")[1])["results"]
    project = next(one["id"] for one in projects if "digits" in one["title"])
    began = time.monotonic()
    for _ in range(int(count)):
        task = next_task(browser, project)
        digit = truth[task["data"]["image"][-80:]]
        result = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [digit]}}
        body = json.dumps({"result": [result], "lead_time": 2.5}).encode()
        status, said = browser.ask(f"/api/tasks/{task['id']}/annotations/?project={project}", body)
        assert status == 201, f"{status} {said[:300]!r}"
    print(f"answers: {count} in {time.monotonic() - began:.0f} s")


def next_task(browser: Browser, project: int) -> dict:
    deadline = time.monotonic() + SOON_S
    while True:
        status, said = browser.ask(f"/api/projects/{project}/next")
        if status == 200:
            return json.loads(said)
        assert time.monotonic() < deadline, f"no task to answer: {status} {said[:300]!r}"
        time.sleep(1)


if __name__ == "__main__":
    {"submit": submit, "answer": answer, "routes": routes}[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])
