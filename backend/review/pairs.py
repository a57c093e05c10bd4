"""Pairs: two versions on the same held-out answers. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import binomtest

from labelloop.gate import Accuracy

Z = 1.959963984540054
"""Of a 95 % interval."""


def paired(rows: Sequence[Mapping[str, Any]], a: str, b: str) -> dict[str, Any]:
    """`rows` have label, one (what `a` said) and other (what `b` said); both names are for the sentence `said`.

    The test is McNemar's, exact and two-sided, since nobody said beforehand which is to be better; the gain is b - a
    with its 95 % interval after Bonett and Price (2012, doi:10.3102/1076998611411915). Without rows all are null.
    """
    n = len(rows)
    right = [(row["one"] == row["label"], row["other"] == row["label"]) for row in rows]
    better, worse = sum(b and not a for a, b in right), sum(a and not b for a, b in right)
    found: dict[str, Any] = {
        "holdout": n,
        "accuracy_a": Accuracy.of(sum(a for a, _ in right), n).as_json(),
        "accuracy_b": Accuracy.of(sum(b for _, b in right), n).as_json(),
        "better": better,
        "worse": worse,
        "differ": sum(row["one"] != row["other"] for row in rows),
        "p": None,
        "gain": None,
    }
    if n == 0:
        return {**found, "said": f"no held-out answer was used to judge both {a} and {b}: they cannot be compared"}
    p = float(binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0
    low, high = interval(better, worse, n)
    value = (better - worse) / n
    gain = {"value": value, "low": low, "high": high}
    words = "no difference can be told" if p > 0.05 else f"{b if better > worse else a} is better"
    said = (
        f"{words}: of {n} held-out answers that judged both, {better} only {b} has right and {worse} only {a}; "
        f"{b} gains {100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}), p = {p:.2g}"
    )
    return {**found, "p": p, "gain": gain, "said": said}


def interval(better: int, worse: int, n: int) -> tuple[float, float]:
    """95 % of the paired difference of two shares of `n` > 0, within -1 to 1."""
    up, down = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    reach = Z * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(up - down - reach, -1.0), min(up - down + reach, 1.0)
