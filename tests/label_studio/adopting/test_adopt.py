"""Projects that Label Studio and its people made: adopted, worked in, and given back as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import unit_hash
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.pull.pull import pull
from tests.support.hops.adopted_project import House, TheirProject, differences, guess, house, their_project
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Row, region

N = 60
ANN, BEN = "ann@adopt.example", "ben@adopt.example"


@pytest.fixture
def our(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[House]:
    with house(database, label_studio, tmp_path) as found:
        yield found


@pytest.fixture
def theirs(our: House) -> TheirProject:
    """60 tasks: the first 30 have a prediction, the first 12 an annotation, and some have what people leave behind."""
    project = their_project(our.web)
    made: list[Row] = [{"data": {"text": f"item {i}", "nr": i}, "predictions": []} for i in range(N)]
    for i, task in enumerate(made[:30]):
        task["predictions"] = [guess("cat", 0.2 + i / 100)]
    made[0]["predictions"].insert(0, guess("dog", 0.9, "bert-0"))  # an older version
    made[28]["predictions"] = []
    made[29]["predictions"] = [guess("eel", None)]
    ids = project.add(made)
    wolf = {"task": ids[28], **guess("wolf", 0.5)}  # a label that the form lacks: this way Label Studio checks nothing
    our.web.post(f"/api/projects/{project.id}/import/predictions", json=[wolf]).raise_for_status()
    our.web.patch(f"/api/projects/{project.id}/", json={"model_version": "bert-1"}).raise_for_status()
    ann, ben = our.person(ANN), our.person(BEN)
    for i, id_ in enumerate(ids[:10]):
        project.annotate(id_, ("cat", "dog")[i % 2], ann)
    project.annotate(ids[0], "cat", ben)  # two people agree
    project.annotate(ids[1], "dog", ann)  # one person, twice
    project.annotate(ids[10], "cat", ben, was_cancelled=True)
    project.annotate(ids[11], "wolf", ben)
    ann.post(f"/api/tasks/{ids[12]}/drafts", params={"project": project.id}, json={"result": region("cat")})
    our.web.post(
        "/api/dm/views/", json={"project": project.id, "data": {"title": "Mine", "type": "list", "target": "tasks"}}
    ).raise_for_status()
    hook = {"url": "http://localhost:1/theirs", "project": project.id, "send_for_all_actions": True}
    our.web.post("/api/webhooks/", json=hook).raise_for_status()
    return project


def sync(our: House, name: str = "animals") -> None:
    """Pull, as the worker does."""
    with our.database.transaction() as conn:
        spec = loops.get(conn, name)
    assert spec is not None
    pull(our.database, Gateway(our.server.url, our.server.token), spec)


def test_a_dry_run_says_all_and_changes_nothing(our: House, theirs: TheirProject) -> None:
    before = theirs.whole()
    done = our.adopt(theirs.id, "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["loop"] == "animals"
    assert found["form"]["labels"] == ["cat", "dog", "eel"]
    assert found["tasks"] | {"held_out": 0} == {
        "all": N, "unanswered": 48, "answered": 10, "incomplete": 0, "held_out": 0, "skipped_only": 1,
        "several_annotations": 2, "drafts": 1, "unreadable": [],
    }  # fmt: skip
    assert found["annotations"]["all"] == 14
    assert found["annotations"]["replaced_by_a_newer_one"] == 1
    [bad] = found["annotations"]["unreadable"]
    assert "'wolf' was given" in bad["reason"]
    assert found["predictions"]["versions"] == {"bert-1": 30, "bert-0": 1}
    assert found["predictions"]["used"] == 29
    assert found["predictions"]["without_score"] == 1
    [bad] = found["predictions"]["unreadable"]
    assert "no such label 'wolf'" in bad["reason"]
    assert found["people"] == {ANN: 11, BEN: 3}
    assert found["changes"]["sampling"] == {"from": "Sequential sampling", "to": "Uncertainty sampling"}
    words = our.adopt(theirs.id, "--dry-run").stdout
    assert "48 without an answer" in words
    assert "nothing was changed" in words

    assert differences(theirs.whole(), before) == []
    assert our.sql("select 1 from loops") == []
    assert list(our.settings.loops_dir.iterdir()) == []


def test_adopted_worked_in_by_two_people_and_released(our: House, theirs: TheirProject) -> None:
    before = theirs.whole()
    done = our.adopt(theirs.id, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) | {"held_out": 0} == {
        "loop": "animals", "project": theirs.id, "tasks": N, "answered_before": 10, "held_out": 0, "waiting": 0,
        "ranked_now": 48,
    }  # fmt: skip

    # every annotation once, with its person and time
    given = {id_: one for task in before["tasks"].values() for id_, one in task["annotations"].items()}
    stored = our.sql("select annotation_id, completed_by, created_at, result, was_cancelled from annotation_versions")
    assert len(stored) == len(given) == 14
    for row in stored:
        one = given[row["annotation_id"]]
        assert (row["completed_by"], row["result"], row["was_cancelled"]) == (
            one["completed_by"], one["result"], one["was_cancelled"],
        )  # fmt: skip
    assert {row["email"] for row in our.sql("select email from reviewers")} == {ANN, BEN}
    assert our.states() == {"answered": 10, "in_review": 50}

    # the outputs have the predictions with versions and scores, and the hold-out set of the hash
    rows = {row["key"]: row for row in our.sql("select * from outputs")}
    ids = list(before["tasks"])
    first = rows[f"project-{theirs.id}/task-{ids[0]}"]
    assert (first["label"], first["confidence"], first["model_version"]) == ("cat", 0.2, "bert-1")
    assert rows[f"project-{theirs.id}/task-{ids[28]}"]["label"] is None
    assert rows[f"project-{theirs.id}/task-{ids[29]}"]["confidence"] is None
    for key, row in rows.items():
        assert row["holdout"] == (unit_hash("holdout", "animals", key) < 0.2)
        chosen = int(key.rpartition("-")[2]) in ids[:12]
        assert (row["triggered"] is None) == chosen
        assert (row["inclusion_probability"] is None) == (chosen or row["lane"] == "rule")

    said = our.run("report", "accuracy").stdout
    assert "12 outputs are left out: people answered them in Label Studio before labelloop chose any" in said

    # two people work: each gets another task, the least certain of the rule lane first
    ann, ben = our.person(ANN), our.person(BEN)
    shown = {row["label_studio_id"]: row["priority"] for row in our.sql("select * from tasks")}
    served = []
    for _ in range(5):
        for person in (ann, ben):
            task = theirs.next_task(person)
            assert task is not None
            served.append(task["id"])
            theirs.annotate(task["id"], "eel", person)
    assert len(set(served)) == 10
    # Ann's draft comes first for her, and the task that Ben skipped is left to her. All others follow the priority.
    apart = {*ids[:10], ids[10], ids[11], ids[12]}
    best = [id_ for id_ in sorted(shown, key=lambda id_: -shown[id_]) if id_ not in apart]
    ranked_first = [id_ for id_ in served if id_ not in apart]
    assert ranked_first == best[: len(ranked_first)]
    sync(our)
    assert our.states() == {"answered": 20, "in_review": 40}

    # a second adoption changes nothing, and takes in tasks that people added
    [late] = theirs.add([{"data": {"text": "late", "nr": 99}}])
    again = our.adopt(theirs.id, "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["tasks"] == N + 1
    assert len(our.sql("select 1 from annotation_versions")) == 24

    released = our.run("release", "--loop", "animals", "--json")
    assert released.exit_code == 0, released.output
    assert json.loads(released.stdout)["kept_settings"] == []
    after = theirs.whole()
    assert after["tasks"].pop(late)["annotations"] == {}
    for id_ in served:  # the work of the two people is all that is new
        now, task = after["tasks"][id_], before["tasks"][id_]
        new = [now["annotations"].pop(one) for one in now["annotations"].keys() - task["annotations"].keys()]
        assert [one["result"][0]["value"] for one in new] == [{"choices": ["eel"]}]
        now["is_labeled"] = task["is_labeled"]
    assert differences(after, before) == []
    assert our.run("push", "--loop", "animals").exit_code == 2, "the loop rests"
    assert our.run("loop", "restore", "animals").exit_code == 2

    # adopted once more, nothing is stored twice
    assert our.adopt(theirs.id).exit_code == 0
    assert len(our.sql("select 1 from annotation_versions")) == 24
    assert our.states() == {"answered": 20, "in_review": 41}
    ranked = [task for task in theirs.tasks() if any(p["model_version"] == "pipeline" for p in task["predictions"])]
    assert len(ranked) == 41


def test_a_window_smaller_than_the_project_ranks_the_best_and_leaves_the_others(our: House) -> None:
    project = their_project(our.web)
    ids = project.add([{"data": {"text": f"t{i}"}, "predictions": [guess("cat", 1 - i / 100)]} for i in range(40)])
    # a folder that is there already, with the form of the project, is used as it is
    folder = our.settings.loops_dir / "animals"
    folder.mkdir()
    (folder / "labels.xml").write_text(str(project.settings()["label_config"]))
    (folder / "loop.yaml").write_text(
        'feedback_loop:\n  trigger: "model_confidence <= 1"\n  title: Animals\n  holdout: 0\n'
        "  queue: {strategy: least_confidence, window: 10, diversity: 0}\n"
    )
    done = our.adopt(project.id)
    assert done.exit_code == 0, done.output
    assert our.states() == {"in_review": 10, "waiting": 30}
    ranked = {t["id"] for t in project.tasks() if any(p["model_version"] == "pipeline" for p in t["predictions"])}
    assert ranked == set(ids[-10:]), "the least certain ones"

    # a person answers one that is not in the window: it counts, and chance did not choose it
    project.annotate(ids[0], "dog")
    sync(our)
    [row] = our.sql(
        "select state::text, triggered from outputs where key = %(k)s", k=f"project-{project.id}/task-{ids[0]}"
    )
    assert row == {"state": "answered", "triggered": None}
    # another is deleted, and a third shows another item by now
    our.web.delete(f"/api/tasks/{ids[1]}/").raise_for_status()
    our.web.patch(f"/api/tasks/{ids[2]}/", json={"data": {"text": "another"}}).raise_for_status()
    project.annotate(ids[2], "dog")
    our.web.patch(f"/api/tasks/{ids[3]}/", json={"data": {"text": "t3", "more": 1}}).raise_for_status()
    project.annotate(ids[3], "dog")
    assert our.run("pull", "--full").exit_code == 0
    by_key = {row["key"]: row["state"] for row in our.sql("select key, state::text from outputs")}
    assert by_key[f"project-{project.id}/task-{ids[1]}"] == "withdrawn"
    assert by_key[f"project-{project.id}/task-{ids[2]}"] == "in_review"
    assert by_key[f"project-{project.id}/task-{ids[3]}"] == "answered", "a field that nobody sees may change"
    [bad] = our.sql("select kind, task_id, state from alerts")
    assert bad == {"kind": "data edited", "task_id": ids[2], "state": "open"}


def test_what_people_changed_meanwhile_stays_after_the_release(our: House) -> None:
    project = their_project(our.web, maximum_annotations=2, show_collab_predictions=False)
    project.add([{"data": {"text": f"t{i}"}} for i in range(3)])
    before = project.settings()
    assert our.adopt(project.id, "--loop", "beasts").exit_code == 0
    assert "min_margin: 1" in (our.settings.loops_dir / "beasts" / "loop.yaml").read_text()
    now = project.settings()
    assert now["maximum_annotations"] == 2
    assert now["description"].startswith("Ask Ann about eels. ")
    our.web.patch(
        f"/api/projects/{project.id}/",
        json={
            "title": "Beasts",
            "description": now["description"].replace("Ann", "Ben"),
            "sampling": "Uniform sampling",
        },
    ).raise_for_status()
    done = our.run("release", "--json")
    assert done.exit_code == 0, done.output
    assert sorted(json.loads(done.stdout)["kept_settings"]) == ["sampling", "title"]
    assert project.settings() == {
        **before, "title": "Beasts", "description": "Ask Ben about eels.", "sampling": "Uniform sampling",
    }  # fmt: skip
