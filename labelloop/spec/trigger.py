"""The trigger of a loop: a small expression that decides which outputs go to people.

Example: `model_confidence < 0.8 or label in ["cat", "dog"]`. It may hold names, numbers, text, comparisons, and, or,
not, and `in` with a list. Python's own grammar parses it, and a short list here limits its nodes; Python never runs it.

An output goes to people if it lacks a fact that the trigger names, or has no confidence at all. Numbers are compared
exactly: 0.8 is not below 0.8.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from labelloop.errors import SpecError


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about one output that a trigger can use. None if the output does not have the fact."""

    model_confidence: float | None = None
    """The model's probability of its label, or the confidence or score that the pipeline gave."""
    margin: float | None = None
    """Probability of the most probable label minus that of the second; small if the model is uncertain."""
    entropy: float | None = None
    """Entropy of the probabilities divided by the log of the number of labels; 1 if all are equally probable."""
    label: str | None = None
    """The model's label."""
    model_version: str | None = None


Trigger = Callable[[Facts], bool]
_Value = Callable[[Facts], Any]

NUMBERS = ("model_confidence", "margin", "entropy")
TEXT_FACTS = ("label", "model_version")
MAX_LENGTH = 1000
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}


def compile_trigger(text: str, labels: Collection[str] = ()) -> Trigger:
    """Return the function that tells whether an output goes to people.

    Raises SpecError with line and column inside `text`. If `labels` are given, any other label is refused too.
    """
    if len(text) > MAX_LENGTH:
        raise SpecError(f"trigger: {len(text)} characters; at most {MAX_LENGTH} are read")
    source = text.strip()
    blanks = len(text) - len(text.lstrip())
    try:
        body = ast.parse(source, mode="eval").body
    except SyntaxError as exc:
        # If the text ends too early, Python gives no column: the fault is at the end.
        line, column = (exc.lineno or 1, exc.offset) if exc.offset else (1, len(source) + 1)
        raise SpecError(f"trigger: {exc.msg}", line=line, column=column + (blanks if line == 1 else 0)) from None
    except (ValueError, RecursionError, MemoryError) as exc:
        raise SpecError(f"trigger: {exc or 'nested too deeply'}", line=1, column=1) from None
    reader = _Reader(source, blanks, labels)
    answer = reader.truth(body)
    named = tuple({"model_confidence", *reader.named})

    def trigger(facts: Facts) -> bool:
        return any(getattr(facts, name) is None for name in named) or answer(facts)

    return trigger


class _Reader:
    """Turns the allowed nodes into functions of Facts, and refuses every other node at its place."""

    def __init__(self, source: str, blanks: int, labels: Collection[str]) -> None:
        self.blanks = blanks
        self.lines = source.splitlines() or [""]
        self.labels = labels
        self.named: set[str] = set()

    def truth(self, node: ast.expr) -> Trigger:
        """Compile a node that is true or false."""
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                every = [self.truth(v) for v in values]
                return lambda facts: all(part(facts) for part in every)
            case ast.BoolOp(values=values):
                some = [self.truth(v) for v in values]
                return lambda facts: any(part(facts) for part in some)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.truth(operand)
                return lambda facts: not inner(facts)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                nodes = [left, *comparators]
                links = [self.link(a, op, b) for a, op, b in zip(nodes, ops, nodes[1:], strict=False)]
                return lambda facts: all(link(facts) for link in links)
        raise self.error(node, "a comparison was expected, such as `model_confidence < 0.8`")

    def link(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Trigger:
        """Compile one comparison of a chain."""
        compare = _COMPARISONS.get(type(op))
        if compare is None:
            raise self.error(right, "`is` is not allowed here; write == or !=")
        membership = isinstance(op, ast.In | ast.NotIn)
        if membership and not isinstance(right, ast.List | ast.Tuple):
            raise self.error(right, "`in` takes a list, such as `label in ['cat', 'dog']`")
        one, kind = self.value(left)
        if isinstance(right, ast.List | ast.Tuple):
            if not membership:
                raise self.error(right, "a list is only allowed after `in`")
            others = [self.value(item) for item in right.elts]
        else:
            others = [self.value(right)]
        operands = [left, *(right.elts if isinstance(right, ast.List | ast.Tuple) else [right])]
        if not any(isinstance(o, ast.Name) for o in operands):
            raise self.error(left, f"a comparison must name one of {', '.join(NUMBERS + TEXT_FACTS)}")
        for other_node, (_, other_kind) in zip(operands[1:], others, strict=True):
            if other_kind != kind:
                raise self.error(other_node, f"a {kind} is compared with a {other_kind}")
        if kind == "text" and isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            raise self.error(right, "texts can only be compared with ==, != and in")
        self.refuse_unknown_label(operands)
        values = [value for value, _ in others]
        if membership:
            return lambda facts: compare(one(facts), [value(facts) for value in values])
        return lambda facts: compare(one(facts), values[0](facts))

    def value(self, node: ast.expr) -> tuple[_Value, str]:
        """Compile a name or a constant; return it with its type, "number" or "text"."""
        match node:
            case ast.Name(id=name) if name in NUMBERS or name in TEXT_FACTS:
                self.named.add(name)
                return operator.attrgetter(name), "number" if name in NUMBERS else "text"
            case ast.Name(id=name):
                raise self.error(node, f"no name {name!r}; there are: {', '.join(NUMBERS + TEXT_FACTS)}")
            case ast.Constant(value=str() as text):
                return lambda _: text, "text"
            case ast.Constant(value=bool()):
                raise self.error(node, "True and False are not allowed here")
            case ast.Constant(value=int() | float() as number):
                if not 0 <= number <= 1:
                    raise self.error(node, f"{', '.join(NUMBERS)} lie between 0 and 1; it is {number}")
                return lambda _: number, "number"
        raise self.error(node, "only names, numbers from 0 to 1, text in quotes and lists of them are allowed here")

    def refuse_unknown_label(self, operands: list[ast.expr]) -> None:
        if not self.labels or not any(isinstance(o, ast.Name) and o.id == "label" for o in operands):
            return
        for node in operands:
            if isinstance(node, ast.Constant) and node.value not in self.labels:
                raise self.error(node, f"no label {node.value!r}; there are: {', '.join(self.labels)}")

    def error(self, node: ast.expr, message: str) -> SpecError:
        line = self.lines[min(node.lineno, len(self.lines)) - 1]
        column = len(line.encode()[: node.col_offset].decode(errors="ignore")) + 1  # ast counts bytes of UTF-8
        column += self.blanks if node.lineno == 1 else 0
        return SpecError(f"trigger: {message}", line=node.lineno, column=column)
