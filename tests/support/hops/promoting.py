"""A champion of a loop in Label Studio, with predictions, without training."""

from __future__ import annotations

from labelloop.store.tables import prelabels, versions
from labelloop.store.tables.prelabels import Prelabel
from labelloop.versions.version import Stage
from tests.support.sync_loop import SyncLoop

CHAMPION = "c" * 64


def promote(loop: SyncLoop, version_id: str = CHAMPION, epoch: int = 1) -> None:
    with loop.database.transaction() as conn:
        before = versions.champion(conn, loop.spec.name)
        if before is not None:
            versions.set_stage(conn, before.id, Stage.RETIRED)
        versions.insert(conn, loop.spec.name, version_id, learner="text", classes=["dog"], size_bytes=1, trained_on=1)
        versions.set_stage(conn, version_id, Stage.CHAMPION)
        versions.record_promotion(
            conn, loop.spec.name, epoch=epoch, version_id=version_id, previous_id=None, by="a test", why="to see"
        )


def say(loop: SyncLoop, utilities: dict[str, float], version_id: str = CHAMPION) -> None:
    """Store predictions of a champion that labels everything a dog, with the given utilities."""
    ids = {row["key"]: row["id"] for row in loop.sql("select id, key from outputs")}
    with loop.database.transaction() as conn:
        by = version_id[:12]
        prelabels.write(conn, [Prelabel(ids[key], u, "dog", 1 - u, by, by) for key, u in utilities.items()])
