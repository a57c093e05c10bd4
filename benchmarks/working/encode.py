"""Sentence vectors: texts a second of one core, memory, and Submit by five people while waiting texts are encoded.

Two sides of Submit take turns, with all of labelloop connected. On the side `quiet` every text has its vector. On the
side `encoding` the backend's worker encodes short texts of another loop for the whole length of the block. In the end
it encodes all of them, while nobody works.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from backend.encode import encoder
from backend.encode.children import PART, Children
from backend.encode.encoder import USE
from backend.score.fill import mark_of
from benchmarks.submit import NO_RUNS, _Bench, _people, _push
from benchmarks.support.goals import (
    ENCODE_ALL,
    ENCODE_MEMORY,
    ENCODE_RATE,
    ENCODE_SUBMIT_P50,
    ENCODE_SUBMIT_P95,
    Goal,
    Measured,
)
from benchmarks.support.items import LABELS, WORDS, digits_loop, submit, texts_spec
from benchmarks.support.rooms import House, Servers, house
from benchmarks.support.turns import percentile, ratios
from labelloop.outputs.output import Output
from labelloop.selection.sentences import CUT
from labelloop.spec.sections import LearnerSpec, Queue
from labelloop.store.sentences import vectors
from labelloop.store.sentences.vectors import Used
from labelloop.store.tables import jobs

LOOP, PEOPLES = "encoded", "submitted"
LENGTHS = {"of a few words": 20, "of 50 characters": 50, "of 235 characters": 235, "of 1 MB, cut": 1_000_000}
BUDGET_S = 2.0
"""Processor seconds for each length."""
ALL_WITHIN_S = 3_600.0
"""Seconds after which the encoding of all texts is given up."""


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    rates = {name: _rate(length, BUDGET_S / 10 if quick else BUDGET_S) for name, length in LENGTHS.items()}
    said = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    short = rates["of 50 characters"]
    return [
        Measured(ENCODE_RATE, [short], f"texts a second: {said}; {CUT} characters of a text are read"),
        _memory(),
        *_submits(servers, quick=quick),
    ]


def _rate(length: int, budget_s: float) -> float:
    """Texts that a second of one core encodes, in the parts that a child gets."""
    rng, model, done, spent = np.random.default_rng(0), encoder(), 0, 0.0
    model.encode(["the first text reads the weights"])
    while spent < budget_s:
        made = [" ".join(rng.choice(WORDS, max(2, min(length, 4 * CUT) // 6))) for _ in range(PART)]
        part = [(text * (1 + length // len(text)))[:length] for text in made]
        began = time.process_time()
        model.encode(part)
        spent += time.process_time() - began
        done += len(part)
    return done / spent


def _memory() -> Measured:
    """The process that encodes, after it has encoded."""
    with Children(threading.Event(), most=1) as children:
        children.of("", idle=False)(["a text"])
        found = Path(f"/proc/{children._resting[0]._process.pid}/smaps_rollup").read_text()
    pss = sum(map(int, re.findall(r"^Pss:\s+(\d+) kB", found, re.MULTILINE))) / 1024
    return Measured(ENCODE_MEMORY, [pss], f"PSS; it ends a minute after its last text ({USE})")


def _submits(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats, texts = (10, 1, 5_000) if quick else (60, 4, 100_000)
    with house(servers) as our, servers.http() as web, _people(servers) as people:
        with our.database.transaction() as conn:
            spec = digits_loop(conn, PEOPLES, 2 * n * (repeats + 1), 0, queue=Queue(), retrain=NO_RUNS)
        _texts(our, texts)
        try:
            _push(our, spec)
            seen: Counter[str] = Counter()
            project = our.project_id(PEOPLES)
            bench = _Bench(our, people, spec, seen, dict.fromkeys(("quiet", "encoding"), project), n)
            times: dict[str, list[Sequence[float]]] = {"quiet": [], "encoding": []}
            encoded = list[float]()
            for i in range(-1, repeats):  # the first of each side is not counted
                for side in ("quiet", "encoding") if i % 2 else ("encoding", "quiet"):
                    _mark(our, all_done=side == "quiet")
                    began = time.monotonic()
                    block = bench.block(side)
                    if i < 0:
                        continue
                    times[side].append(block.times)
                    if side == "encoding":
                        encoded.append(_done(our) / (time.monotonic() - began))
            whole = _all(our, texts)
        finally:
            our.remove_projects(web)
    facts = f"meanwhile {median(encoded):.0f} of {texts} short texts a second were encoded"
    return [_ratio(ENCODE_SUBMIT_P50, 0.5, times, facts), _ratio(ENCODE_SUBMIT_P95, 0.95, times, facts), whole]


def _all(our: House, texts: int) -> Measured:
    """The worker encodes all of the loop's texts, without a rest and without people."""
    _mark(our, all_done=False)
    with our.database.transaction() as conn:  # as if the last answer came an hour ago
        conn.execute("update annotation_versions set seen_at = seen_at - interval '1 hour'")
    with our.working("backend.worker"):
        began = time.monotonic()
        while (done := _done(our)) < texts:
            assert time.monotonic() - began < ALL_WITHIN_S, f"{done} of {texts} texts in {ALL_WITHIN_S:g} s"
            time.sleep(1)
        took = time.monotonic() - began
    return Measured(ENCODE_ALL, [took / texts * 100_000 / 60], f"{texts} texts in {took:.0f} s")


def _ratio(goal: Goal, share: float, times: dict[str, list[Sequence[float]]], facts: str) -> Measured:
    own, peer = ([percentile(block, share) for block in times[side]] for side in ("encoding", "quiet"))
    said = f"{median(own) * 1000:.0f} ms, quiet {median(peer) * 1000:.0f} ms; {facts}"
    return Measured(goal, ratios(own, peer), said)


def _texts(our: House, n: int) -> None:
    """A loop whose texts wait, 50 characters each, no two of them equal."""
    rng = np.random.default_rng(1)
    words = rng.choice(WORDS, (n, 7))
    made = [
        Output(f"text-{i}", {"text": f"{' '.join(words[i])} {i}"}, probabilities={LABELS[0]: 0.5, LABELS[1]: 0.5})
        for i in range(n)
    ]
    spec = texts_spec(LOOP, learner=LearnerSpec(name="sentences"), retrain=NO_RUNS)
    with our.database.transaction() as conn:
        submit(conn, spec, made)


def _mark(our: House, *, all_done: bool) -> None:
    """Say that every text has its vector, or that none has."""
    model = encoder()
    with our.database.transaction() as conn:
        vectors.use(conn, LOOP, Used("", model.id, model.width))
        conn.execute("truncate sentence_outputs, sentence_vectors")
        if all_done:
            conn.execute(
                """
                insert into sentence_outputs (output_id, loop, encoder)
                select id, loop, %(mark)s from outputs where loop = %(loop)s
                """,
                {"mark": mark_of(model.id, "text"), "loop": LOOP},
            )
        else:
            jobs.ask(conn, jobs.EMBED, LOOP)


def _done(our: House) -> int:
    with our.database.transaction() as conn:
        row = conn.execute("select count(*) as n from sentence_outputs").fetchone()
    return int(row["n"]) if row else 0
