"""The sides of a trigger's comparisons: names, fields of data and meta, probabilities, constants, and arithmetic."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from labelloop.errors import SpecError
from labelloop.reading.nearest import did_you_mean, some
from labelloop.spec.trigger.facts import (
    BOOLEAN,
    NUMBER,
    NUMBERS,
    OBJECTS,
    PROBABILITIES,
    TEXT,
    TEXTS,
    Facts,
    as_written,
    kind_of,
    step_down,
)

Read = Callable[[Facts], Any]
Path = tuple[str | int, ...]
MAX_OPERATIONS = 100
"""Largest depth of arithmetic: each level is a call."""
NAMES = (*NUMBERS, *TEXTS, *OBJECTS, PROBABILITIES)
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison."""

    read: Read
    """Returns the value; None if the output lacks it."""
    kind: str | None
    """number, text or boolean; None if only the output tells."""
    is_fact: bool = True
    """Whether the value depends on the output."""
    is_share: bool = False
    """Whether it is a number from 0 to 1."""
    constant: Any = None
    """The value, if it is written in the trigger."""


class OperandReader:
    """Compiles the sides of comparisons, and refuses everything else at its place."""

    def __init__(self, source: str, labels: Collection[str], above: int, blanks: int) -> None:
        """`above` is the number of lines before `source`, and `blanks` that of characters before its first line."""
        self._lines = source.split("\n")
        self._labels = labels
        self._above = above
        self._blanks = blanks

    def operand(self, node: ast.expr, depth: int = 0) -> Operand:
        """Compile a name, a field, a constant, or arithmetic with them."""
        if depth > MAX_OPERATIONS:
            raise self.error(node, f"more than {MAX_OPERATIONS} nested operations")
        match node:
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute() | ast.Subscript():
                return self._field(node)
            case ast.Constant(value=str() as text):
                return _constant(text, TEXT)
            case ast.Constant(value=bool() as truth):
                return _constant(truth, BOOLEAN)
            case ast.Constant(value=int() | float() as number) if kind_of(number):
                return _constant(as_written(number), NUMBER)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
                return self._signed(node, sign, self._number(inner, depth + 1))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                one, other = self._number(left, depth + 1), self._number(right, depth + 1)
                return Operand(
                    _computed(_OPERATIONS[type(op)], one.read, other.read), NUMBER, one.is_fact or other.is_fact
                )
            case ast.BinOp():
                raise self.error(node, "the only operations are + - * and /")
        raise self.error(node, "only names, fields, numbers, text in quotes and lists of them are allowed here")

    def error(self, node: ast.expr, message: str) -> SpecError:
        """Return an error at the place of this node."""
        line = self._lines[min(node.lineno, len(self._lines)) - 1]
        column = len(line.encode()[: node.col_offset].decode(errors="ignore")) + 1  # ast counts bytes of UTF-8
        column += self._blanks if node.lineno == 1 else 0
        return SpecError(f"trigger: {message}", line=self._above + node.lineno, column=column)

    def require_label(self, node: ast.expr, label: object) -> None:
        """Raise SpecError unless the loop has this label; a loop without labels may have any."""
        if self._labels and label not in self._labels:
            raise self.error(node, f"no label {label!r}{did_you_mean(label, self._labels)}; {some(self._labels)}")

    def _name(self, node: ast.expr, name: str) -> Operand:
        if name in NUMBERS:
            return Operand(operator.attrgetter(name), NUMBER, is_share=True)
        if name in TEXTS:
            return Operand(operator.attrgetter(name), TEXT)
        if name in OBJECTS:
            raise self.error(node, f"name a field of {name}, such as {name}.length or {name}['any name']")
        if name == PROBABILITIES:
            raise self.error(node, f"name a label, such as {PROBABILITIES}['cat']")
        raise self.error(node, f"no name {name!r}{did_you_mean(name, NAMES)}; there are: {', '.join(NAMES)}")

    def _field(self, node: ast.expr) -> Operand:
        root, path = self._path(node)
        if not isinstance(root, ast.Name):
            raise self.error(root, "only data, meta and probabilities have fields")
        if root.id == PROBABILITIES:
            if len(path) != 1 or not isinstance(path[0], str) or not isinstance(node, ast.Subscript):
                raise self.error(node, f"write a label in brackets and quotes, such as {PROBABILITIES}['cat']")
            self.require_label(node.slice, path[0])
            return Operand(_probability(path[0]), NUMBER, is_share=True)
        if root.id not in OBJECTS:
            if root.id in NAMES:
                raise self.error(node, f"{root.id} has no fields; data and meta have")
            hint = did_you_mean(root.id, (*OBJECTS, PROBABILITIES))
            raise self.error(root, f"no name {root.id!r}{hint}; there are: {', '.join(NAMES)}")
        return Operand(_at(root.id, path), None)

    def _path(self, node: ast.expr) -> tuple[ast.expr, Path]:
        """Return what the steps begin with, and the steps."""
        path: list[str | int] = []
        while True:
            match node:
                case ast.Attribute(value=inner, attr=name):
                    path.append(name)
                case ast.Subscript(value=inner, slice=ast.Constant(value=str() | int() as step)) if isinstance(
                    step, str
                ) or (type(step) is int and step >= 0):
                    path.append(step)
                case ast.Subscript(slice=ast.expr() as wrong):
                    raise self.error(wrong, "brackets take a name in quotes or a position from 0")
                case _:
                    return node, tuple(reversed(path))
            node = inner

    def _number(self, node: ast.expr, depth: int) -> Operand:
        found = self.operand(node, depth)
        if found.kind not in (NUMBER, None):
            raise self.error(node, f"a number was expected, not a {found.kind}")
        return found

    def _signed(self, node: ast.expr, sign: ast.unaryop, inner: Operand) -> Operand:
        if isinstance(inner.constant, int | float):
            return _constant(-inner.constant if isinstance(sign, ast.USub) else inner.constant, NUMBER)
        factor = -1.0 if isinstance(sign, ast.USub) else 1.0
        return Operand(_computed(operator.mul, lambda _: factor, inner.read), NUMBER, inner.is_fact)


def _constant(value: Any, kind: str) -> Operand:
    return Operand(lambda _: value, kind, is_fact=False, constant=value)


def _at(name: str, path: Path) -> Read:
    """Return the function that reads a field of data or meta."""
    read = operator.attrgetter(name)

    def at(facts: Facts) -> Any:
        value = read(facts)
        for step in path:
            value = step_down(value, step)
        return as_written(value)

    return at


def _probability(label: str) -> Read:
    """Return the function that reads a label's probability: 0 if the output gives those of other labels only."""
    return lambda facts: None if facts.probabilities is None else facts.probabilities.get(label, 0.0)


def _computed(compute: Callable[[float, float], float], left: Read, right: Read) -> Read:
    """Return the function that computes with two numbers as 64-bit floats.

    Its result is None if one is no number, for a division by zero, and beyond the largest number.
    """

    def computed(facts: Facts) -> float | None:
        one, other = left(facts), right(facts)
        if kind_of(one) is not NUMBER or kind_of(other) is not NUMBER:
            return None
        try:
            found = compute(float(one), float(other))
        except (ZeroDivisionError, OverflowError):
            return None
        return found if math.isfinite(found) else None

    return computed
