"""Adopting and releasing at the wrong time, without a database, and tasks that come in an odd order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from labelloop.labelstudio.gateway import Gateway
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects
from sync.adopting.newcomers import take_newcomers
from tests.support.hops.adopted_project import House, differences, guess, house, their_project
from tests.support.servers import LabelStudio, label_studio_database
from tests.support.sync_loop import wait_until


@pytest.fixture
def our(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[House]:
    with house(database, label_studio, tmp_path) as found:
        yield found


def test_an_empty_project_takes_in_tasks_whose_ids_are_lower_than_known_ones(
    our: House, label_studio_postgres: str
) -> None:
    elsewhere = their_project(our.web, title="Elsewhere")
    [low] = elsewhere.add([{"data": {"text": "committed late"}}])
    project = their_project(our.web)
    assert our.adopt(project.id).exit_code == 0
    assert our.states() == {}
    [high, unshown] = project.add([{"data": {"text": "first"}}, {"data": {"text": "later", "nr": 1}}])
    assert our.adopt(project.id).exit_code == 0
    with our.database.transaction() as conn:
        spec, row = loops.get(conn, "animals"), projects.get(conn, "animals")
    assert spec is not None
    assert row is not None
    # Label Studio gives ids away before it commits, so a lower id may come after a higher one
    with psycopg.connect(label_studio_database(label_studio_postgres, row.instance)) as theirs:
        theirs.execute("update task set project_id = %s where id = %s", [project.id, low])
    gateway = Gateway(our.server.url, our.server.token)
    survey = take_newcomers(our.database, gateway, spec)
    assert survey is not None
    assert survey.tasks == 1
    found = {row["label_studio_id"] for row in our.sql("select label_studio_id from adopted_tasks")}
    assert found == {low, high, unshown}
    again = take_newcomers(our.database, gateway, spec)
    assert again is not None
    assert again.tasks == 0, "nothing is read twice"
    gateway.close()


def test_a_dry_run_needs_no_database(our: House) -> None:
    project = their_project(our.web)
    project.add([{"data": {"text": "t"}}])
    away = {"LABELLOOP_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    done = our.run("adopt", "--project", str(project.id), "--dry-run", **away)
    assert done.exit_code == 0, done.output
    assert "cannot tell whether a loop has the project already" in done.stderr
    assert "1 without an answer" in done.stdout
    done = our.run("adopt", "--project", str(project.id), **away)
    assert done.exit_code == 1
    assert "Postgres does not answer" in done.stderr
    assert list(our.settings.loops_dir.iterdir()) == []


NER_WITH_NOTE = """<View>
  <Text name="text" value="$text"/>
  <Labels name="ner" toName="text"><Label value="person"/><Label value="place"/></Labels>
  <TextArea name="note" toName="text"/>
</View>"""


def test_a_dry_run_names_the_controls_of_an_answer_and_says_how_to_choose_one_of_them(our: House) -> None:
    project = their_project(our.web, label_config=NER_WITH_NOTE)
    done = our.adopt(project.id, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "the answer is answers to several controls\n" in done.stdout
    assert "Labels 'ner': spans, 2 labels: person, place\n    TextArea 'note': a text\n" in done.stdout
    assert "such as --answer ner." in done.stdout
    assert "learner: none\n    loop animals has no learner: no run is started" in done.stdout
    one = our.adopt(project.id, "--dry-run", "--answer", "ner")
    assert "the answer is spans, from Labels 'ner', 2 labels: person, place\n" in one.stdout
    assert "learner: spans\n" in one.stdout
    wrong = our.adopt(project.id, "--dry-run", "--answer", "nerr")
    assert wrong.exit_code == 2
    assert "labels.xml has no control 'nerr' (did you mean 'ner'?)" in wrong.stderr
    assert our.adopt(project.id, "--answer", "ner").exit_code == 0
    with our.database.transaction() as conn:
        spec = loops.get(conn, "animals")
    assert spec is not None
    assert spec.answer == ("ner",)


def test_a_dry_run_after_an_adoption_tells_only_what_another_run_would_take_in(our: House) -> None:
    project = their_project(our.web)
    project.add([{"data": {"text": f"t{i}"}} for i in range(3)])
    assert our.adopt(project.id).exit_code == 0
    assert any(task["predictions"] for task in project.tasks()), "the loop has ranked the tasks by predictions"
    nothing = our.adopt(project.id, "--dry-run")
    assert nothing.exit_code == 0, nothing.output
    assert "is that of the loop 'animals' already: another run would take in the tasks that came" in nothing.stdout
    assert "3 of the project's tasks are stored already" in nothing.stdout
    for line in ("0 tasks\n", "0 predictions\n", "none: the loop has set them"):
        assert line in nothing.stdout
    project.add([{"data": {"text": "new"}, "predictions": [guess("cat", 0.5)]}])
    later = our.adopt(project.id, "--dry-run")
    assert "1 task\n  1 without an answer" in later.stdout
    assert "1 prediction\n  1 of model version 'bert-1'" in later.stdout
    assert our.run("release").exit_code == 0
    after = our.adopt(project.id, "--dry-run")
    assert "was given back by the loop 'animals'" in after.stdout
    assert "sampling: " in after.stdout


def test_a_dry_run_refuses_what_an_adoption_refuses(our: House) -> None:
    own = their_project(our.web)
    our.sql("insert into loops (name, spec, labels_xml) values ('animals', '{}', '') returning name")
    our.sql(
        "insert into projects (loop, label_studio_url, project_id, signing_key) "
        "values ('animals', %(u)s, %(p)s, 'k') returning loop",
        u=our.server.url,
        p=own.id,
    )
    other = their_project(our.web)
    for project, name, why in (
        (own.id, "animals", f"project {own.id} is the own project of loop 'animals'"),
        (own.id, "others", "that of loop 'animals'"),
        (other.id, "animals", "loop 'animals' exists, and its project is its own"),
        (other.id, "Bad Name", "a loop's name is 1 to 41 lower-case letters"),
    ):
        for more in ([], ["--dry-run"]):
            done = our.adopt(project, "--loop", name, *more)
            assert (done.exit_code, why in done.stderr) == (2, True), done.output
    assert list(our.settings.loops_dir.iterdir()) == []


def test_a_release_takes_waiting_answers_with_it_and_is_made_once(our: House) -> None:
    project = their_project(our.web)
    first = project.add([{"data": {"text": f"t{i}"}} for i in range(2)])[0]
    before = project.whole()
    assert our.adopt(project.id).exit_code == 0
    project.annotate(first, "dog")  # nobody pulls it before the release
    # a push of the worker is at work: the release waits for its end
    running = (
        "insert into procrastinate_jobs (queue_name, task_name, status, args) "
        "values ('sync', 'push', 'doing', '{\"loop\": \"animals\"}')"
    )
    our.do(running)
    done = []
    thread = threading.Thread(target=lambda: done.append(our.run("release")))
    thread.start()
    wait_until(lambda: our.sql("select 1 from loops where archived_at is not null"), what="the archived loop")
    assert thread.is_alive()
    our.do("update procrastinate_jobs set status = 'succeeded' where status = 'doing'")
    thread.join()
    assert done[0].exit_code == 0, done[0].output
    after = project.whole()
    after["tasks"][first] = before["tasks"][first]
    assert differences(after, before) == []
    assert [row["label"] for row in our.sql("select label from answers")] == ["dog"]
    again = our.run("release", "--loop", "animals")
    assert again.exit_code == 2
    assert "gave project" in again.output
    assert "To adopt it again: labelloop adopt" in again.output


def test_a_release_of_a_project_that_is_gone_says_so_and_changes_nothing(our: House) -> None:
    project = their_project(our.web)
    project.add([{"data": {"text": "t"}}])
    assert our.adopt(project.id).exit_code == 0
    done = our.run("release", "--loop", "nix", LABELLOOP_BY="", USER="")
    assert (done.exit_code, "no loop 'nix'" in done.stderr) == (2, True), done.output
    done = our.run("release", LABELLOOP_LABEL_STUDIO_URL="http://127.0.0.1:1")
    assert done.exit_code == 1
    assert our.sql("select archived_at from loops") == [{"archived_at": None}]
    our.sql("update projects set project_id = 987654 returning loop")
    our.sql("update adoptions set project_id = 987654 returning loop")
    done = our.run("release")
    assert done.exit_code == 2
    assert "there is no project 987654" in done.output
    assert our.sql("select archived_at from loops") == [{"archived_at": None}]
