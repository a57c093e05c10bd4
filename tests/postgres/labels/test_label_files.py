"""The files of a loop whose labels change: two commands at once, files that are behind, and a change that fails."""

from __future__ import annotations

import threading

import pytest

from console.files.relabelled import carry_out, read
from labelloop.errors import Failed
from labelloop.labeling.changing import Wanted
from labelloop.labeling.former import ChangeKind
from labelloop.spec.folder import load
from labelloop.store.pipelines import label_changes
from labelloop.store.tables import projects
from sync.pull.relabel_plan import Plan, plan
from tests.support.workers.consumers import until
from tests.support.workers.pets import XML, Pets


def planned(pets: Pets, new: str) -> Plan:
    with pets.database.transaction() as conn:
        return plan(conn, "pets", read(pets.folder), Wanted(ChangeKind.RENAME, ("cat",), (new,)), None)


def test_the_refused_one_of_two_commands_at_once_leaves_the_files_of_the_other(pets: Pets) -> None:
    before, late = read(pets.folder), planned(pets, "tom")
    with pets.database.transaction() as conn:
        assert label_changes.lock(conn, "pets")  # another command is at work
        said = pets.run("rename", "cat", "feline", "--by", "olga", "--yes")
        assert (said.exit_code, "another command is changing labels of loop 'pets'" in said.output) == (1, True)
        assert read(pets.folder) == before
    pets.change("rename", "cat", "feline")
    files = pets.files()
    for texts in (before, read(pets.folder)):  # what the late command has read: the files before, or those of today
        with pytest.raises(Failed, match="changed meanwhile: nothing was done"):
            carry_out(pets.database, pets.folder, texts, late, "olga", "")
    assert pets.files() == files
    pets.change("retire", "eel")


def test_files_with_an_old_label_are_mended_by_the_command_that_changed_it(pets: Pets) -> None:
    pets.change("rename", "cat", "feline")
    files = pets.files()
    (pets.folder / "labels.xml").write_bytes(XML.encode())
    said = pets.run("rename", "cat", "feline", "--dry-run").output
    assert "It is so already: 'cat' became 'feline'.\nThe files still have the old label" in said
    assert "Done: 'cat' became 'feline'; 0 answers changed." in pets.change("rename", "cat", "feline")
    assert pets.files() == files
    pets.change("rename", "feline", "felis")
    (pets.folder / "labels.xml").write_bytes(XML.encode())
    pets.change("rename", "cat", "feline")
    assert load(pets.folder).labels == pets.spec.labels == ("felis", "dog", "eel")
    assert len(pets.rows("select id from label_changes")) == 2


@pytest.mark.parametrize("meanwhile", [None, b"<View/>"])
def test_a_failed_change_puts_back_what_it_wrote_and_nothing_else(pets: Pets, meanwhile: bytes | None) -> None:
    file, found, raised = pets.folder / "labels.xml", planned(pets, "feline"), list[Failed]()

    def change() -> None:
        try:
            carry_out(pets.database, pets.folder, read(pets.folder), found, "olga", "")
        except Failed as exc:
            raised.append(exc)

    thread = threading.Thread(target=change)
    with pets.database.transaction() as conn:
        projects.lock_hop(conn, "pets", "answers")  # the tables wait, and the files are written
        thread.start()
        until(lambda: file.read_bytes() == found.files[file.name]["after"].encode())
        until(lambda: pets.rows("select from pg_locks where locktype = 'advisory' and not granted"))
        if meanwhile is not None:
            file.write_bytes(meanwhile)
        label_changes.add(conn, "pets", ChangeKind.RETIRE, ["eel"], [], [], {}, {}, None, "a program of before", "")
    thread.join()
    assert "changed meanwhile" in str(raised)
    assert file.read_bytes() == (XML.encode() if meanwhile is None else meanwhile)
