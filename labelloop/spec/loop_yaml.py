"""Read loop.yaml into plain values, with the line and column of each. Faults that YAML accepts silently are refused."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from labelloop.errors import SpecError
from labelloop.reading.strict_json import UNKEPT

Path = tuple[int | str, ...]
ROOT = "feedback_loop"
MAX_BYTES = 256 * 1024
MAX_DEPTH = 20

_COLON = "mapping values are not allowed here"
_UNFIT = r"expected <block end>, but found '(<block mapping start>|<block sequence start>|-|\?)'"


@dataclass(frozen=True, slots=True)
class Document:
    """The keys below the root, and where each value and each key begins."""

    value: dict[str, Any]
    values: dict[Path, yaml.Mark]
    keys: dict[Path, yaml.Mark]
    sections: set[Path]
    """The paths of mappings and lists."""
    faults: list[SpecError]
    """Mistakes that do not keep the rest from being read, such as a key that is given twice."""

    def error(self, path: Sequence[int | str], message: str, *, at_key: bool = False) -> SpecError:
        """Return an error at the place of `path` below the root; at the nearest parent if the file has no such path.

        A section that begins below its key is at the key.
        """
        return _error(self._mark(path, at_key), message)

    def inside(self, path: Sequence[int | str], line: int, column: int, message: str) -> SpecError:
        """Return an error at a character of a text; at its beginning if YAML joins its lines."""
        mark = self._mark(path)
        begins = "" if mark.buffer is None else mark.buffer[mark.pointer : mark.pointer + 1]
        if begins == "|":
            lines = mark.buffer[mark.pointer :].split("\n")[1:] if mark.buffer else []
            indent = next((len(text) - len(text.lstrip(" ")) for text in lines if text.strip()), 0)
            return SpecError(f"loop.yaml: {message}", line=mark.line + 1 + line, column=indent + column)
        if line == 1 and begins not in ("", ">"):
            quoted = begins in ("'", '"')
            return SpecError(f"loop.yaml: {message}", line=mark.line + 1, column=mark.column + column + quoted)
        return _error(mark, message)

    def _mark(self, path: Sequence[int | str], at_key: bool = False) -> yaml.Mark:
        at: Path = (ROOT, *path)
        while at not in self.values:
            at = at[:-1]
            at_key = True
        key, value = self.keys.get(at, self.values[at]), self.values[at]
        return key if at_key or (at in self.sections and key.line < value.line) else value


def dotted(path: Sequence[int | str]) -> str:
    """Write a path as text: queue.window, actions[0].type."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def read(text: str) -> Document:
    """Read the text of a loop.yaml.

    Raises SpecError for invalid YAML, an alias, a value that cannot be kept, and if `feedback_loop` is missing.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise SpecError(f"loop.yaml: more than {MAX_BYTES} bytes")
    try:
        loader = yaml.SafeLoader(text)
        reader = _Reader(loader)
        root = loader.get_single_node()
        value = None if root is None else reader.plain(root, ())
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise SpecError(f"loop.yaml: {_words(exc, text)}", line=line, column=column) from None
    except yaml.YAMLError as exc:  # a character that YAML does not allow
        raise SpecError(f"loop.yaml: {exc}") from None
    except RecursionError:
        raise SpecError("loop.yaml: nested too deeply", line=1, column=1) from None
    if not isinstance(value, dict) or not isinstance(value.get(ROOT), dict):
        raise SpecError(f"loop.yaml: begins with `{ROOT}:` and its keys below it", line=1, column=1)
    document = Document(value[ROOT], reader.values, reader.keys, reader.sections, reader.faults)
    for other in value:
        if other != ROOT:
            document.faults.append(_error(document.keys[(other,)], f"{other}: no such key beside {ROOT}"))
    return document


class _Reader:
    """Turns YAML's nodes into values, and records where each one begins."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.loader = loader
        self.values: dict[Path, yaml.Mark] = {}
        self.keys: dict[Path, yaml.Mark] = {}
        self.sections: set[Path] = set()
        self.faults: list[SpecError] = []
        self._seen: set[int] = set()

    def plain(self, node: yaml.Node, path: Path) -> Any:
        """Return a mapping as a dict with text keys, and a list as a tuple."""
        self.values[path] = node.start_mark
        if id(node) in self._seen:  # a few aliases of aliases would fill any memory
            raise _error(node.start_mark, f"{dotted(path[1:])}: aliases are not read")
        self._seen.add(id(node))
        if len(path) > MAX_DEPTH:
            raise _error(node.start_mark, f"nested more than {MAX_DEPTH} deep")
        if isinstance(node, yaml.CollectionNode):
            self.sections.add(path)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.plain(item, (*path, i)) for i, item in enumerate(node.value))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.scalar(key_node, path) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self.faults.append(_error(key_node.start_mark, f"a key is text; found {key!r}"))
                continue
            if key in values:
                self.faults.append(_error(key_node.start_mark, f"{dotted((*path[1:], key))}: is given twice"))
                continue
            self.keys[(*path, key)] = key_node.start_mark
            values[key] = self.plain(value_node, (*path, key))
        return values

    def scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            value = self.loader.construct_object(node, deep=True)
        except ValueError as exc:  # an invalid date
            raise _error(node.start_mark, str(exc)) from None
        if isinstance(value, str) and (bad := UNKEPT.search(value)):  # the spec is stored as jsonb
            what = f"{dotted(path[1:])}: holds the character U+{ord(bad[0]):04X}, which Postgres does not keep"
            raise _error(node.start_mark, what)
        if isinstance(value, float) and not math.isfinite(value):
            raise _error(node.start_mark, f"{dotted(path[1:])}: must be a finite number, not {node.value}")
        return value


def _words(exc: yaml.MarkedYAMLError, text: str) -> str:
    """Return the problem in plain words for the mistakes that people make most, else as the parser tells it."""
    problem, mark = exc.problem or exc.context or "", exc.problem_mark
    before = mark.buffer[: mark.pointer].rpartition("\n")[2] if mark is not None and mark.buffer is not None else ""
    if problem == _COLON and re.search(r":\s", before):
        return "a text with a colon and a blank must be in quotes"
    if problem == _COLON or re.fullmatch(_UNFIT, problem):
        return "the indentation does not fit the line above"
    if "'\\t' that cannot start" in problem:
        return "a tab stands where YAML takes only blanks"
    return problem


def _error(mark: yaml.Mark, message: str) -> SpecError:
    return SpecError(f"loop.yaml: {message}", line=mark.line + 1, column=mark.column + 1)
