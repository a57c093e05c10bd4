"""The turns of the tests at the one Label Studio of a parallel run."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from tests.support.shared import turn
from tests.support.sync_loop import wait_until


def test_tests_share_label_studio_until_one_wants_it_alone_which_no_other_overtakes(tmp_path: Path) -> None:
    order: list[str] = []

    def test(name: str, *, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            order.append(name)

    def waits_at_the_gate() -> bool:
        with (tmp_path / "gate").open("w") as gate:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    with turn(tmp_path, alone=False):
        test("beside", alone=False)
        deletes = threading.Thread(target=test, args=["deletes"], kwargs={"alone": True})
        deletes.start()
        wait_until(waits_at_the_gate)
        later = threading.Thread(target=test, args=["later"], kwargs={"alone": False})
        later.start()
        later.join(0.2)
        assert order == ["beside"]
    deletes.join()
    later.join()
    assert order == ["beside", "deletes", "later"]
