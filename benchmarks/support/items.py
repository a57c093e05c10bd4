"""Items that the benchmarks work on: generated texts for throughput, real handwritten digits where a model is meant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from console.demo.items import Items
from console.demo.items import digits as load_digits
from console.local.supervisor import ROOT
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import loops, outputs

LABELS = tuple(f"label-{i}" for i in range(10))
WORDS = "the order parcel invoice was late broken lost wrong paid twice never arrived please help refund again".split()


@cache
def digits() -> Items:
    """scikit-learn's real scans; encoding them as pictures takes a second."""
    return load_digits(seed=0)


def texts(n: int, rng: np.random.Generator) -> list[Output]:
    """`n` outputs of a text of about 300 characters and the probabilities of ten labels."""
    proba = rng.dirichlet(np.full(len(LABELS), 0.3), n)
    words = rng.choice(WORDS, (n, 50))
    return [
        Output(
            key=f"ticket/{rng.integers(2**63):x}-{i}",
            data={"text": " ".join(words[i])},
            probabilities=dict(zip(LABELS, map(float, proba[i]), strict=True)),
            model_version="pipeline-1",
        )
        for i in range(n)
    ]


def texts_spec(name: str, **changes: object) -> LoopSpec:
    return LoopSpec.model_validate({"name": name, "trigger": "model_confidence < 0.8", **changes}).with_labels(LABELS)


def submit(conn: Conn, spec: LoopSpec, items: Sequence[Output]) -> None:
    """Store outputs as the intake does, without HTTP. Registers the loop."""
    loops.register(conn, spec)
    outputs.insert(conn, spec.name, [outputs.Row.of(item, place(item, spec)) for item in items])


def digits_loop(conn: Conn, name: str, n: int, answered: int, **changes: object) -> LoopSpec:
    """A loop of `n` real digits of which the first `answered` have their true answer."""
    spec = load(ROOT / "labeling_configs" / "digits").model_copy(update={"name": name, **changes})
    items = digits()
    made = [
        Output(key=items.keys[i], data=items.data[i], probabilities=_weak(items.truth[i], spec.labels))
        for i in items.pool[:n]
    ]
    submit(conn, spec, made)
    truth = items.truth_of()
    conn.execute(
        """
        insert into answers (output_id, loop, label, agreement, reviewers)
        select o.id, o.loop, t.label, 1, 1
        from unnest(%(keys)s::text[], %(labels)s::text[]) as t (key, label)
        join outputs o on o.loop = %(loop)s and o.key = t.key
        """,
        {
            "loop": name,
            "keys": [output.key for output in made[:answered]],
            "labels": [truth[output.key] for output in made[:answered]],
        },
    )
    return spec


def _weak(truth: str, labels: Sequence[str]) -> dict[str, float]:
    """A pipeline that is never sure, so that everything goes to people."""
    return {label: 0.4 if label == truth else 0.6 / (len(labels) - 1) for label in labels}
