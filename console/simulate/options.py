"""The options of the simulation: the strategies to compare, the number of seeds, the batch size and the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.learners.of_spec import field_of
from labelloop import strategies
from labelloop.errors import UsageError
from labelloop.labeling.controls import Kind
from labelloop.selection.select import DIVERSITY
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec


@dataclass(frozen=True, slots=True)
class Variant:
    """A query strategy with the diversity of its selection; random has diversity 0."""

    strategy: str
    diversity: float

    @property
    def name(self) -> str:
        return self.strategy if self.strategy == strategies.RANDOM else f"{self.strategy}:{self.diversity:g}"


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    variants: tuple[Variant, ...]
    seeds: int = 5
    batch: int = 50
    budget: int | None = None
    """Labels in total, including the first batch; 20 batches if None. At most the size of the pool."""
    out: Path | None = None
    """A .png file, or a folder for the picture and the figures."""
    json_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for options that are not given; a loop's spec replaces them."""

    strategies: str = "margin,entropy,random"
    diversity: float = DIVERSITY
    learner: str = "text"
    field: str | None = None


def defaults(loops_dir: Path, loop: str | None) -> Defaults:
    """Return the loop's strategy and a random order; without a loop, the usual strategies on text."""
    if loop is None:
        return Defaults()
    if not (loops_dir / loop / "loop.yaml").is_file():
        known = sorted(path.parent.name for path in loops_dir.glob("*/loop.yaml"))
        raise UsageError(f"no loop {loop!r} in {loops_dir}; there are: {', '.join(known) or 'none'}")
    spec: LoopSpec = load(loops_dir / loop)
    chosen = dict.fromkeys((spec.queue.strategy, strategies.RANDOM))
    learner = spec.learner
    # Learners of one label are named by what they read; others keep their name and are refused later.
    read = learner.reads if learner.facts.predicts is Kind.LABEL else learner.name
    return Defaults(",".join(chosen), spec.queue.diversity, read, field_of(spec))


def variants(names: str | Sequence[str], diversity: float = DIVERSITY) -> tuple[Variant, ...]:
    """Parse names such as `margin,margin:0,random`: the number is a diversity, by default `diversity`."""
    words = names.split(",") if isinstance(names, str) else names
    found: list[Variant] = []
    for word in filter(None, (word.strip() for word in words)):
        name, colon, number = word.partition(":")
        if not strategies.reads_probabilities(name):
            raise UsageError(
                f"{name} reads {strategies.get(name).reads}, which a labelled set does not have; these can be "
                f"simulated: {', '.join(_simulated())}"
            )
        variant = Variant(name, 0.0 if name == strategies.RANDOM else _share(word, number) if colon else diversity)
        if variant in found:
            raise UsageError(f"{word!r} is listed twice; list each strategy once per diversity")
        found.append(variant)
    if not found:
        raise UsageError(f"no strategy is given; there are: {', '.join(_simulated())}")
    return tuple(found)


def _simulated() -> list[str]:
    return [name for name in strategies.names() if strategies.reads_probabilities(name)]


def _share(word: str, number: str) -> float:
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{word!r}: the diversity after the colon is a number from 0 to 1, such as margin:0.5")
    return share
