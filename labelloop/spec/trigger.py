"""The trigger of a loop: a small expression that says which outputs go to people.

`model_confidence < 0.8 or label in ["cat", "dog"]`: names, numbers, text, comparisons, and, or, not, `in` a list. It
is parsed by Python's own grammar and checked against the short list here; it is never handed to Python to run.

An output that lacks a fact that the trigger names, or that carries no confidence at all, goes to people: the trigger
is true for it. Numbers are compared as they are: 0.8 is not below 0.8.
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
    """What a trigger can ask about one output. None: the output does not say."""

    model_confidence: float | None = None
    """The model's probability of its label, or the confidence or score that it gave."""
    margin: float | None = None
    """Probability of the first label less that of the second: small where unsure."""
    entropy: float | None = None
    """Of the probabilities, by the log of the number of labels: 1 where it knows nothing."""
    label: str | None = None
    """The model's label."""
    model_version: str | None = None


Trigger = Callable[[Facts], bool]
_Value = Callable[[Facts], Any]

NUMBERS = ("model_confidence", "margin", "entropy")
WORDS = ("label", "model_version")
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
    """The function that answers whether an output goes to people.

    Raises SpecError with line and column inside `text`. With `labels`, a label that is none of them is refused too.
    """
    if len(text) > MAX_LENGTH:
        raise SpecError(f"trigger: {len(text)} characters; at most {MAX_LENGTH} are read")
    source = text.strip()
    blanks = len(text) - len(text.lstrip())
    try:
        body = ast.parse(source, mode="eval").body
    except SyntaxError as exc:
        # Where the text ends too early Python names no column: what is missing is missing at the end.
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
    """Turns the nodes of the short list into functions of Facts, and refuses every other node at its place."""

    def __init__(self, source: str, blanks: int, labels: Collection[str]) -> None:
        self.blanks = blanks
        self.lines = source.splitlines() or [""]
        self.labels = labels
        self.named: set[str] = set()

    def truth(self, node: ast.expr) -> Trigger:
        """A node that is true or false."""
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
        """One comparison of a chain."""
        compare = _COMPARISONS.get(type(op))
        if compare is None:
            raise self.error(right, "`is` is not known here; write == or !=")
        membership = isinstance(op, ast.In | ast.NotIn)
        if membership and not isinstance(right, ast.List | ast.Tuple):
            raise self.error(right, "`in` takes a list, such as `label in ['cat', 'dog']`")
        one, kind = self.value(left)
        if isinstance(right, ast.List | ast.Tuple):
            if not membership:
                raise self.error(right, "a list can only stand after `in`")
            others = [self.value(item) for item in right.elts]
        else:
            others = [self.value(right)]
        operands = [left, *(right.elts if isinstance(right, ast.List | ast.Tuple) else [right])]
        if not any(isinstance(o, ast.Name) for o in operands):
            raise self.error(left, f"a comparison names one of {', '.join(NUMBERS + WORDS)}")
        for other_node, (_, other_kind) in zip(operands[1:], others, strict=True):
            if other_kind != kind:
                raise self.error(other_node, f"a {kind} is compared with a {other_kind}")
        if kind == "text" and isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            raise self.error(right, "texts are compared by ==, != and in only")
        self.refuse_unknown_label(operands)
        values = [value for value, _ in others]
        if membership:
            return lambda facts: compare(one(facts), [value(facts) for value in values])
        return lambda facts: compare(one(facts), values[0](facts))

    def value(self, node: ast.expr) -> tuple[_Value, str]:
        """A name or a constant, and whether it is a number or a text."""
        match node:
            case ast.Name(id=name) if name in NUMBERS or name in WORDS:
                self.named.add(name)
                return operator.attrgetter(name), "number" if name in NUMBERS else "text"
            case ast.Name(id=name):
                raise self.error(node, f"no name {name!r}; there are: {', '.join(NUMBERS + WORDS)}")
            case ast.Constant(value=str() as text):
                return lambda _: text, "text"
            case ast.Constant(value=bool()):
                raise self.error(node, "True and False are no values here")
            case ast.Constant(value=int() | float() as number):
                if not 0 <= number <= 1:
                    raise self.error(node, f"{', '.join(NUMBERS)} lie between 0 and 1: never beyond {number}")
                return lambda _: number, "number"
        raise self.error(node, "only names, numbers from 0 to 1, text in quotes and lists of them can stand here")

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
