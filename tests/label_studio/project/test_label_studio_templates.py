"""All templates of Label Studio, from `labelloop migrate` to a typed answer in Postgres, on which people agree."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from label_studio_sdk.label_interface.interface import LabelInterface

from console.files.label_studio import mended
from labelloop.labeling import kinds
from labelloop.labeling.controls import Kind
from labelloop.labeling.results import decoded
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects
from sync.intake import taking
from sync.pull.pull import pull
from sync.push.push import push
from tests.support.data.editor_results import AGREED, FIRST, SECOND, TIED, data_for, written
from tests.support.data.label_studio_templates import ENTERPRISE_ONLY, templates
from tests.support.servers import LabelStudio

YAML = (
    'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  overlap: 2\n  holdout: 0.0\n  audit: 0.0\n'
    "  queue: {strategy: random, window: 5, audit: 0.0, holdout: 0.0, control: 0.0}\n"
)
GOAL = 65
AT_ONCE = 3
"""Templates that are walked at the same time: most of the time is spent waiting for Label Studio."""


@dataclass
class Walk:
    """The answer of each template, or the reason why there is none, and the templates that are kept whole."""

    answered: dict[str, str] = field(default_factory=dict)
    kept_whole: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def typed(self) -> int:
        return len(self.answered.keys() - self.kept_whole)

    def report(self) -> str:
        whole = ", ".join(sorted(self.kept_whole))
        lost = "".join(f"\n{name}: {reason}" for name, reason in sorted(self.failed.items()))
        return f"{self.typed} of {len(templates())} have typed answers; kept whole: {whole}{lost}"


@pytest.fixture
def people(label_studio: LabelStudio) -> Iterator[list[httpx.Client]]:
    """Three annotators."""
    tokens = [label_studio.sign_up(f"person-{i}@templates.test")[0] for i in range(3)]
    clients = [
        httpx.Client(base_url=label_studio.url, headers={"Authorization": f"Token {token}"}, timeout=60)
        for token in tokens
    ]
    yield clients
    for client in clients:
        client.close()


def sample_of(xml: str) -> dict[str, Any]:
    """The sample data that the SDK makes for a form; {} if it cannot."""
    try:
        sdk: Any = LabelInterface(xml)
        return dict(sdk.generate_sample_task()["data"])
    except Exception:  # the SDK has no sample for a List
        return {}


def annotate(spec: LoopSpec, task_id: int, project: int, people: list[httpx.Client]) -> int:
    """Let two people answer, who differ, and a third one where two cannot agree; return how many there are."""
    answer = spec.config.answer
    third = any(part.kind in TIED for part in answer.parts or (answer,))
    hands = (FIRST, SECOND, AGREED) if third else (FIRST, SECOND)
    for person, hand in zip(people, hands, strict=False):
        given = {"result": written(spec.config, hand)}
        person.post(f"/api/tasks/{task_id}/annotations/?project={project}", json=given).raise_for_status()
    return len(hands)


def walked(
    name: str, database: Database, gateway: Gateway, settings: Settings, people: list[httpx.Client]
) -> tuple[LoopSpec, int]:
    """Take one template from the registration of its loop to the pull of people's answers; return how many answered."""
    xml = mended(templates()[name])
    spec = parse(f"t-{name[:38]}", YAML, xml)
    output = {"key": name, "data": data_for(spec.config, sample_of(xml)), "result": written(spec.config), "score": 0.4}
    with database.transaction() as conn:
        loops.register(conn, spec)
        taking.take(conn, spec, enumerate([json.dumps(output).encode()], start=1))
    assert push(database, gateway, spec, settings).pushed == 1
    with database.transaction() as conn:
        row = projects.get(conn, spec.name)
        [task] = conn.execute(
            "select label_studio_id as id from tasks t join outputs o on o.id = t.output_id where o.loop = %s",
            (spec.name,),
        ).fetchall()
    assert row is not None
    reviewers = annotate(spec, task["id"], row.id, people)
    pull(database, gateway, spec)
    return spec, reviewers


def kept_whole(spec: LoopSpec) -> bool:
    """Whether no part of the answer is of a kind that labelloop reads."""
    answer = spec.config.answer
    return all(part.kind is Kind.OTHER or kinds.of(part) is kinds.other for part in answer.parts or (answer,))


@pytest.mark.timeout(600)
@pytest.mark.skipif(not templates(), reason="Label Studio is not installed")
def test_templates_of_label_studio_come_to_a_typed_answer_on_which_people_agree(
    database: Database, label_studio: LabelStudio, people: list[httpx.Client]
) -> None:
    settings = Settings(
        database_url=database.url,
        label_studio_url=label_studio.url,
        label_studio_token=label_studio.token,
        push_grace_s=1.0,
    )
    walk, begun = Walk(), time.monotonic()

    def go(name: str) -> None:
        with closing(Gateway(label_studio.url, label_studio.token)) as gateway:
            try:
                spec, reviewers = walked(name, database, gateway, settings, people)
                walk.answered[name] = agreed_on(database, spec, reviewers)
            except Exception as exc:
                walk.failed[name] = f"{type(exc).__name__}: {exc}"[:300]
                return
        if kept_whole(spec):
            walk.kept_whole.add(name)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(go, templates()))
    print(walk.report(), f"{time.monotonic() - begun:.0f} s")
    assert walk.typed >= GOAL, walk.report()
    assert not walk.failed, walk.report()
    for name in walk.kept_whole:
        assert any(f"<{tag} " in templates()[name] for tag in ENTERPRISE_ONLY), f"{name} needs no Enterprise tag"


def agreed_on(database: Database, spec: LoopSpec, reviewers: int) -> str:
    """The answer in Postgres, on which people who differ agree. Raises AssertionError if it is none or another one."""
    with database.transaction() as conn:
        found = conn.execute(
            "select a.label, a.agreement, a.reviewers from answers a join outputs o on o.id = a.output_id"
            " where o.loop = %s order by a.seq desc limit 1",
            (spec.name,),
        ).fetchone()
        unread = conn.execute("select reason from unreadable where loop = %s", (spec.name,)).fetchall()
    assert found is not None, f"no answer: {[row['reason'] for row in unread]}"
    answer = spec.config.answer
    if kept_whole(spec):  # everybody gave the same
        assert found["label"], found
    else:
        assert found["label"] == decoded(answer, written(spec.config, AGREED)), found
    one_by_one = [decoded(answer, written(spec.config, hand)) for hand in (FIRST, SECOND)]
    exact = {*TIED, Kind.TEXT} & {part.kind for part in answer.parts or (answer,)}
    assert found["reviewers"] == reviewers, found
    assert (found["agreement"] < 1) is (bool(exact) and one_by_one[0] != one_by_one[1]), found
    return str(found["label"])
