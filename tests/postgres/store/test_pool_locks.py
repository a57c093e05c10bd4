"""A push and a new model's prelabels want the same rows of the pool at the same time."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from uuid import UUID

from labelloop.errors import Retriable
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import batches, loops, pool, prelabels
from labelloop.store.tables import tasks as task_store
from labelloop.store.tables.prelabels import Prelabel
from tests.support.sync_loop import XML, YAML

FILL = """
    insert into projects (loop, label_studio_url, project_id, signing_key) values ('pets', 'x', 7, 'k');
    insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane, inclusion_probability, holdout,
                         state)
    select 'pets', 'k' || i, '', 'g', '{}', 'm', 'rule', 1, false, 'waiting' from generate_series(1, 2000) i;
    insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
    select id, loop, lane, random(), key, 'cat', .5, 'm', 'm' from outputs;
    insert into batches (loop, version, size) values ('pets', 'm', 1);
    insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label, confidence,
                       champion, ranker, shown_version)
    select o.id, 'pets', b.id, p.instance, row_number() over (), lane, .5, .5, 'cat', .5, 'm', 'm', 'x'
    from outputs o, batches b, projects p
"""
SECONDS = 2.0


class Undone(Exception):
    """Rolls a transaction back."""


def test_a_push_and_new_prelabels_never_wait_for_each_other_in_a_circle(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, parse("pets", YAML, XML))
        conn.execute(FILL)
        ids = [row["id"] for row in conn.execute("select id from outputs")]
        batch = batches.intend(conn, "pets", "m", 1)
    end, done, refused = time.monotonic() + SECONDS, Counter[str](), list[str]()

    def goes_on() -> bool:
        """Also until each has had a few turns, on a machine that has other work too."""
        return not refused and (time.monotonic() < end or min(done["write"], done["push"]) <= 5)

    def write(some: list[UUID]) -> None:
        with database.transaction() as conn:
            prelabels.write(conn, [Prelabel(id_, 0.3, "cat", 0.5, "a", "b") for id_ in some])

    def push(some: list[UUID]) -> None:
        with database.transaction() as conn:
            places = {id_: random.random() for id_ in some}
            task_store.show(conn, "v", places)
        with database.transaction() as conn:
            pool.take(conn, batch, places)
            raise Undone

    def again_and_again(name: str, do: Callable[[list[UUID]], None]) -> None:
        while goes_on():
            try:
                do(random.sample(ids, 300))
            except Undone:
                pass
            except Retriable as exc:
                refused.append(str(exc))
            done[name] += 1

    threads = [
        threading.Thread(target=again_and_again, args=pair)
        for pair in (("write", write), ("push", push), ("push", push))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert min(done["write"], done["push"]) > 5
