"""Read a loop's folder: its loop.yaml (ours) and its labels.xml (Label Studio's), which may be missing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from labelloop.errors import SpecError
from labelloop.reading.nearest import did_you_mean, some
from labelloop.spec.loop import LoopSpec
from labelloop.spec.mistakes import Examined, examine, of_learner

FILES = ("loop.yaml", "labels.xml")
Check = Callable[[LoopSpec], None]


def load(folder: Path) -> LoopSpec:
    """Load the loop in this folder; the folder's name is the loop's name.

    Raises SpecError with the loop, the file, the line and the column of the first fault.
    """
    spec, faults = look(folder)
    if spec is None:
        raise faults[0]
    return spec


def look(folder: Path, check: Check = lambda _: None) -> tuple[LoopSpec | None, list[SpecError]]:
    """Load the loop in this folder; return its spec, or None and all its faults.

    A path among the learner's parameters that begins with ./ is in the folder; the spec has the whole path. `check` may
    refuse a spec by raising SpecError about its learner.
    """
    name, file = folder.absolute().name, folder / "loop.yaml"
    if not file.exists() and is_loop(folder):
        return None, [SpecError("there is a labels.xml and no loop.yaml beside it: add one with the rule", loop=name)]
    try:
        text = _read(file)
        file = folder / "labels.xml"
        found = examine(name, text, _read(file) if file.exists() else "")
    except SpecError as exc:
        found = Examined(faults=[exc])
    if found.spec is not None and found.document is not None:
        found.spec = _placed(found.spec, folder.absolute())
        try:
            check(found.spec)
        except SpecError as exc:
            found.faults = [of_learner(found.document, exc)]
    if not found.faults:
        return found.spec, []
    return None, [_of_loop(name, exc) for exc in found.faults]


def _placed(spec: LoopSpec, folder: Path) -> LoopSpec:
    """Return the spec with whole paths for those of the learner that are in the loop's folder: they begin with ./"""
    params = dict(spec.learner.params)
    for name in spec.learner.facts.paths:
        path = params.get(name)
        if isinstance(path, str) and path.startswith("./"):
            params[name] = str(folder / path)
    return spec.model_copy(update={"learner": spec.learner.model_copy(update={"params": params})})


def unknown_steps(folder: Path, known: Collection[str]) -> list[SpecError]:
    """Return a fault for each loop that `steps.loops` names and that is not among `known`, with its place.

    Such a loop is only a fault of the other files: it may be registered later.
    """
    file = folder / "labels.xml"
    found = examine(folder.absolute().name, _read(folder / "loop.yaml"), _read(file) if file.exists() else "")
    if found.spec is None or found.document is None:
        return []
    return [
        _of_loop(found.spec.name, found.document.error(("steps", "loops", place), _no_loop(name, known)))
        for place, name in enumerate(found.spec.steps.loops)
        if name not in known
    ]


def _no_loop(name: str, known: Collection[str]) -> str:
    return f"steps.loops: no loop {name!r}{did_you_mean(name, known) or f'; {some(sorted(known))}'}"


def _of_loop(name: str, fault: SpecError) -> SpecError:
    return SpecError(fault.reason, line=fault.line, column=fault.column, loop=name)


def is_loop(folder: Path) -> bool:
    """Return whether a folder has a file of a loop; it may lack the other one."""
    return any((folder / name).exists() for name in FILES)


def folders(loops_dir: Path) -> list[Path]:
    """Return the folders of loops in a folder, sorted by name."""
    return sorted({file.parent for name in FILES for file in loops_dir.glob(f"*/{name}")})


def load_all(loops_dir: Path, check: Check = lambda _: None) -> tuple[list[LoopSpec], list[SpecError]]:
    """Load every loop of a folder of loops. Return the specs by name, and every fault of the other loops.

    A faulty loop does not keep the others from being loaded. `check` as in `look`.
    """
    specs, faults = [], list[SpecError]()
    for folder in folders(loops_dir):
        spec, found = look(folder, check)
        if spec is not None:
            specs.append(spec)
        faults += found
    return specs, faults


def parse(name: str, text: str, labels_xml: str = "") -> LoopSpec:
    """Return the loop called `name`, from the text of its loop.yaml and of its labels.xml ("" if it has none).

    Raises SpecError with the place of the first fault.
    """
    found = examine(name, text, labels_xml)
    if found.spec is None:
        raise found.faults[0]
    return found.spec


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{file} cannot be read: {exc}") from exc
