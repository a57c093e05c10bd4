"""Fill: compute the sentence vectors of open tasks and waiting outputs, the most useful first.

Scoring and selection then find them in Postgres. An interrupted pass is resumed where it ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from uuid import UUID

import numpy as np

from backend.encode.children import Stopped
from backend.encode.encoder import checked, encoder
from backend.encode.kept import Encode, Encoding, vectors_by_text
from backend.score.engines import Engine, engine
from labelloop.selection.sentences import CUT
from labelloop.selection.vectors import Vectors
from labelloop.store.database import Database
from labelloop.store.sentences import waiting
from labelloop.store.tables import jobs, loops

PLAN = 50_000
"""Outputs that are ordered by use at a time."""
TEXTS_AT_A_TIME = 1024
"""Outputs whose vectors are stored in one transaction."""
PART = 64
"""Texts of a call on the engine."""
SLICE_S = 120.0
"""Seconds after which a pass ends and asks for another, so that other loops have their turn."""
logger = logging.getLogger(__name__)


def fill(
    database: Database,
    loop: str,
    stop: threading.Event | None = None,
    encoding: Encoding | None = None,
    *,
    on: str = "local",
    cluster: str = "",
    workers: int = 0,
    slice_s: float | None = None,
) -> int:
    """Store the vectors that waiting outputs and open tasks lack; return how many outputs were looked through.

    It does nothing for a loop whose learner reads no sentence vectors. On the engine "local", `encoding` computes
    vectors, or this process if that is None. `on`, `cluster` and `workers` choose the engine, which does not change
    the result. After `slice_s` seconds it asks for another pass and ends. None means no limit. A push is requested
    after the first chunk and at the end. Raises SettingsError if the encoder cannot be used.
    """
    with database.transaction() as conn:
        spec = loops.at_work(conn, loop)
    if spec is None or spec.learner.encoder is None or spec.field is None:
        return 0
    name, model, stop = spec.learner.encoder, encoder(spec.learner.encoder), stop or threading.Event()
    mark = mark_of(model.id, spec.field)
    done, ends = 0, None if slice_s is None else time.monotonic() + slice_s
    with engine(on, cluster, workers) as found:
        here = encoding(name) if encoding else model.encode
        encode = here if on == "local" else _over(found, name, model.id)
        while ids := _missing(database, loop, mark, stop):
            for some in waiting.chunks(ids, TEXTS_AT_A_TIME):
                if stop.is_set():
                    break
                with database.transaction() as conn:
                    texts = waiting.texts(conn, some, spec.field, CUT)
                try:
                    vectors_by_text(database, spec, model, (row.text for row in texts if row.text is not None), encode)
                except Stopped:
                    break
                with database.transaction() as conn:
                    waiting.mark(conn, loop, mark, [row.output_id for row in texts])
                    if not done:
                        jobs.ask(conn, jobs.PUSH, loop)
                done += len(some)
                if ends is not None and time.monotonic() > ends:
                    with database.transaction() as conn:
                        jobs.ask(conn, jobs.EMBED, loop)
                    return done
    if done:
        with database.transaction() as conn:
            jobs.ask(conn, jobs.PUSH, loop)
        logger.info("loop %s: sentence vectors of %d outputs", loop, done)
    return done


def mark_of(encoder_id: str, field: str) -> str:
    """Return what names an encoder and the field that it read, in `sentence_outputs`."""
    return f"{encoder_id} {field}"


def encode_part(name: str, id_: str, texts: Sequence[str]) -> Vectors:
    """Encode texts in any process. Raises SettingsError if the encoder of this name has another id there."""
    return checked(encoder(name), name, id_).encode(texts)


def _missing(database: Database, loop: str, mark: str, stop: threading.Event) -> list[UUID]:
    if stop.is_set():
        return []
    with database.transaction() as conn:
        return waiting.without_vector(conn, loop, mark, PLAN)


def _over(found: Engine, name: str, id_: str) -> Encode:
    """Return the function that encodes texts on an engine."""

    def encode(texts: Sequence[str]) -> Vectors:
        parts = [list(texts[start : start + PART]) for start in range(0, len(texts), PART)]
        work = ((place, (name, id_, part)) for place, part in enumerate(parts))
        return np.concatenate([vectors for _, vectors in found.map(encode_part, work)])

    return encode
