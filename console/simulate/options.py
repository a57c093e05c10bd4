"""What the user asks of the simulation: a set, the strategies to compare, and how far to go."""

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
    """A query strategy with the diversity of its selection; random has none."""

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
    """Labels in all, the first batch with them; 20 batches where None, and never more than the pool has."""
    out: Path | None = None
    """A .png, or a folder for the picture and the figures."""
    json_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a loop says where the command line does not."""

    strategies: str = "margin,entropy,random"
    diversity: float = DIVERSITY
    learner: str = "text"
    field: str | None = None


def defaults(loops_dir: Path, loop: str | None) -> Defaults:
    """The loop's own strategy beside a random order; without a loop, the usual strategies on text."""
    if loop is None:
        return Defaults()
    if not (loops_dir / loop / "loop.yaml").is_file():
        known = sorted(path.parent.name for path in loops_dir.glob("*/loop.yaml"))
        raise UsageError(f"no loop {loop!r} in {loops_dir}; there are: {', '.join(known) or 'none'}")
    spec: LoopSpec = load(loops_dir / loop)
    chosen = dict.fromkeys((spec.queue.strategy, strategies.RANDOM))
    learner = spec.learner
    # A simulation knows learners of one label by what they read; it refuses the others by their name.
    read = learner.reads if learner.facts.predicts is Kind.LABEL else learner.name
    return Defaults(",".join(chosen), spec.queue.diversity, read, field_of(spec))


def variants(names: str | Sequence[str], diversity: float = DIVERSITY) -> tuple[Variant, ...]:
    """`margin,margin:0,random`: a name alone gets `diversity`, a name with a number after a colon that one."""
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
            raise UsageError(f"{word!r} is named twice: each strategy once for each diversity")
        found.append(variant)
    if not found:
        raise UsageError(f"no strategy is named; there are: {', '.join(_simulated())}")
    return tuple(found)


def _simulated() -> list[str]:
    return [name for name in strategies.names() if strategies.reads_probabilities(name)]


def _share(word: str, number: str) -> float:
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{word!r}: after the colon stands a diversity from 0 to 1, such as margin:0.5")
    return share
