"""Picture of the page People at work, with people who answer in Label Studio. docs/pictures.py calls it."""

from __future__ import annotations

import random
import time

from photograph import PICTURES
from playwright.sync_api import Page

from console.demo.people import Person
from console.local.people import sign_up
from console.local.up import Running
from labelloop.labelstudio.gateway import Gateway
from labelloop.reading.ids import ProjectId
from labelloop.reading.strict_json import dumps
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects
from sync.intake import taking

_YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  learner: none
  overlap: 3
  consensus: dawid-skene
  queue: {strategy: random, window: 100, audit: 0.0, holdout: 0.0}
"""
_XML = """<View><Text name="text" value="$text"/>
<Choices name="label" toName="text" choice="single-radio">
<Choice value="bill"/><Choice value="order"/><Choice value="other"/></Choices></View>"""
_LABELS = ("bill", "order", "other")
_SKILLS = {"anna": 0.98, "ben": 0.93, "rob": 0.4}
_OUTPUTS = 72
"""Half of them are gold."""


def people_at_work(page: Page, running: Running) -> None:
    """Photograph the page of a loop that three people have answered, one of them at random."""
    settings, spec = running.settings, parse("mail", _YAML, _XML)
    truth = {f"mail-{i}": _LABELS[i * 7 % 3] for i in range(_OUTPUTS)}
    lines = [
        dumps({"key": key, "data": {"text": f"Letter {i}"}, "label": _LABELS[i % 3], "confidence": 0.5}
              | ({"gold": label} if i % 2 else {})).encode()
        for i, (key, label) in enumerate(truth.items())
    ]  # fmt: skip
    gateway = Gateway(settings.label_studio_url, settings.label_studio_token)
    with Database(settings.database_url) as database:
        with database.transaction() as conn:
            loops.register(conn, spec)
            taking.take(conn, spec, enumerate(lines, start=1))
        project = _until(database, {"in_review"})
        invite = gateway.invite_url()
        for name, skill in _SKILLS.items():
            email = f"{name}@example.org"
            session = sign_up(settings.label_studio_url, invite, email, f"{name}-of-the-picture")
            person = Person(email, session, project, spec.config, truth, skill, random.Random(name))
            while person.answer_next():
                pass
            session.close()
        _until(database, {"answered"})
    page.goto(f"{running.addresses['review']}loops/mail/working")
    if page.locator("#token").is_visible():
        page.fill("#token", settings.review_token)
        page.click("main button")
    page.get_by_role("heading", name="People at work").wait_for()
    end = page.locator("dt:visible", has_text="same as the others").bounding_box()
    assert end is not None
    page.screenshot(path=PICTURES / "people.png", clip={"x": 0, "y": 0, "width": 1280, "height": end["y"] + 35})


def _until(database: Database, wanted: set[str]) -> ProjectId:
    """Wait until all outputs are in this state, and return the id of the project."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        with database.transaction() as conn:
            project = projects.get(conn, "mail")
            states = {row["state"] for row in conn.execute("select state from outputs where loop = 'mail'")}
        if project is not None and project.project_id is not None and states == wanted:
            return project.project_id
        time.sleep(1)
    raise TimeoutError(f"the outputs are {', '.join(sorted(states))} after five minutes, not {', '.join(wanted)}")
