"""Compile a trigger, such as `model_confidence < 0.8 or (label == "cat" and data.length > 500)`.

It may hold comparisons, `and`, `or`, `not`, `in` with a list, `is None`, and arithmetic. Python's own grammar parses
it, and a short list here limits its nodes; Python never runs it.

An output without any confidence goes to people, whatever the trigger says. Any other missing fact makes its comparison
false, and so does a value of another type, a division by zero or a NaN. `not` turns each comparison into its opposite:
`not (data.n < 3 and label == "cat")` means `data.n >= 3 or label != "cat"`. So a comparison with a missing fact is
false below `not` too, and only what is known sends an output. Numbers are compared exactly: 0.8 is not below 0.8.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from labelloop.errors import SpecError
from labelloop.spec.trigger.facts import NUMBER, NUMBERS, TEXTS, Facts, kind_of
from labelloop.spec.trigger.operands import Operand, OperandReader

Trigger = Callable[[Facts], bool]
MAX_LENGTH = 1000
_Compare = Callable[[Any, Any], bool]
_ORDER: dict[type[ast.cmpop], tuple[_Compare, _Compare]] = {
    ast.Lt: (operator.lt, operator.ge),
    ast.LtE: (operator.le, operator.gt),
    ast.Gt: (operator.gt, operator.le),
    ast.GtE: (operator.ge, operator.lt),
}
"""Comparisons of numbers only, each with its opposite."""
_EQUALITY: dict[type[ast.cmpop], tuple[_Compare, _Compare]] = {
    ast.Eq: (operator.eq, operator.ne),
    ast.NotEq: (operator.ne, operator.eq),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One alternative of a trigger: a trigger without `or` at its top is one part."""

    text: str
    holds: Trigger


def compile_trigger(text: str, labels: Collection[str] = ()) -> Trigger:
    """Return the function that tells whether an output goes to people.

    Raises SpecError with line and column inside `text`. If `labels` are given, any other label is refused too.
    """
    _, body, reader = _read(text, labels)
    answer = reader.truth(body)
    reader.raise_first()
    return lambda facts: facts.model_confidence is None or answer(facts)


def faults(text: str, labels: Collection[str] = ()) -> list[SpecError]:
    """Return every mistake of the trigger, in the order of the text; after a syntax error no other can be found."""
    try:
        _, body, reader = _read(text, labels)
        reader.truth(body)
    except SpecError as exc:
        return [exc]
    return reader.faults


def parts(text: str, labels: Collection[str] = ()) -> list[Part]:
    """Return the alternatives of a trigger: those that hold for an output are why it is sent.

    None of them covers an output without confidence.
    """
    source, body, reader = _read(text, labels)
    nodes = body.values if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.Or) else [body]
    found = [Part(" ".join((ast.get_source_segment(source, node) or "").split()), reader.truth(node)) for node in nodes]
    reader.raise_first()
    return found


def names(text: str) -> Iterator[tuple[str, int, int]]:
    """Return every name of a valid trigger with its line and column; the names of fields are left out."""
    _, body, reader = _read(text, ())
    for node in ast.walk(body):
        if isinstance(node, ast.Name):
            place = reader.operands.error(node, "")
            yield node.id, place.line or 1, place.column or 1


def _read(text: str, labels: Collection[str]) -> tuple[str, ast.expr, _Reader]:
    """Return the text without blanks around it, the expression in it, and the reader for it."""
    if len(text) > MAX_LENGTH:
        raise SpecError(f"trigger: {len(text)} characters; at most {MAX_LENGTH} are read")
    source = text.strip()
    before = text[: len(text) - len(text.lstrip())]
    above, blanks = before.count("\n"), len(before) - before.rfind("\n") - 1
    several = "\n" in source
    if several:  # Python goes on to the next line only inside brackets
        source, blanks = f"[{source}\n]", blanks - 1
    try:
        body = ast.parse(source, mode="eval").body
    except SyntaxError as exc:
        # If the text ends too early, Python gives no column: the fault is at the end.
        line, column = (exc.lineno or 1, exc.offset) if exc.offset else (1, len(source) + 1)
        message = "a bracket is not closed" if several and "']'" in exc.msg else exc.msg
        if several and line > (last := source.count("\n")):  # in the bracket that was added
            line, column = last, len(source.split("\n")[-2]) + 1
        column += blanks if line == 1 else 0
        raise SpecError(f"trigger: {message}", line=above + line, column=column) from None
    except (ValueError, RecursionError, MemoryError) as exc:
        raise SpecError(f"trigger: {exc or 'nested too deeply'}", line=1, column=1) from None
    if several:
        if not isinstance(body, ast.List) or len(body.elts) != 1:
            raise SpecError("trigger: invalid syntax", line=above + 1, column=blanks + 2)
        body = body.elts[0]
    return source, body, _Reader(OperandReader(source, labels, above, blanks))


class _Reader:
    """Turns comparisons and what joins them into functions of Facts. Mistakes are collected, so that all are found."""

    def __init__(self, operands: OperandReader) -> None:
        self.operands = operands
        self.faults: list[SpecError] = []

    def raise_first(self) -> None:
        if self.faults:
            raise self.faults[0]

    def truth(self, node: ast.expr, negated: bool = False) -> Trigger:
        """Compile a node that is true or false; `negated` compiles its opposite."""
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node, negated = node.operand, not negated
        match node:
            case ast.BoolOp(op=op, values=values):
                return _joined([self.truth(v, negated) for v in values], every=isinstance(op, ast.And) != negated)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                nodes = [left, *comparators]
                links = [self._checked(a, op, b, negated) for a, op, b in zip(nodes, ops, nodes[1:], strict=False)]
                return _joined(links, every=not negated)
        self.faults.append(self.operands.error(node, "a comparison was expected, such as `model_confidence < 0.8`"))
        return _never

    def _checked(self, left: ast.expr, op: ast.cmpop, right: ast.expr, negated: bool) -> Trigger:
        try:
            return self._link(left, op, right, negated)
        except SpecError as exc:
            self.faults.append(exc)
        except RecursionError:
            self.faults.append(self.operands.error(left, "nested too deeply"))
        return _never

    def _link(self, left: ast.expr, op: ast.cmpop, right: ast.expr, negated: bool) -> Trigger:
        """Compile one comparison of a chain."""
        operand = self.operands.operand
        if isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self.operands.error(right, "`is` is only allowed before None; write == or !=")
            one = operand(left)
            self._check([left], [one], op)
            return _presence(one, isinstance(op, ast.IsNot) != negated)
        many = isinstance(right, ast.List | ast.Tuple)
        if isinstance(op, ast.In | ast.NotIn) != many:
            what = (
                "a list is only allowed after `in`" if many else "`in` takes a list, such as `label in ['cat', 'dog']`"
            )
            raise self.operands.error(right, what)
        one = operand(left)
        nodes = right.elts if isinstance(right, ast.List | ast.Tuple) else [right]
        others = [operand(item) for item in nodes]
        self._check([left, *nodes], [one, *others], op)
        if many:
            absent = isinstance(op, ast.NotIn) != negated
            links = [_comparison(one, ast.NotEq() if absent else ast.Eq(), other, negated=False) for other in others]
            return _joined([_presence(one, True), _joined(links, every=absent)], every=True)
        return _comparison(one, op, others[0], negated)

    def _check(self, nodes: list[ast.expr], operands: list[Operand], op: ast.cmpop) -> None:
        """Refuse a comparison that can never tell anything about an output."""
        if not any(operand.is_fact for operand in operands):
            listed = ", ".join(NUMBERS + TEXTS)
            raise self.operands.error(nodes[0], f"a comparison must name one of {listed}, or a field of data or meta")
        is_label = any(isinstance(node, ast.Name) and node.id == "label" for node in nodes)
        is_share = any(operand.is_share for operand in operands)
        known = next((operand.kind for operand in operands if operand.kind is not None), None)
        for node, operand in zip(nodes, operands, strict=True):
            if operand.kind is not None and operand.kind != known:
                raise self.operands.error(node, f"a {known} is compared with a {operand.kind}")
            if operand.is_fact:
                continue
            if is_label:
                self.operands.require_label(node, operand.constant)
            if is_share and operand.constant is not None and not 0 <= operand.constant <= 1:
                listed = ", ".join(NUMBERS)
                raise self.operands.error(node, f"{listed} lie between 0 and 1; it is {operand.constant}")
        if type(op) in _ORDER and known not in (NUMBER, None):
            raise self.operands.error(nodes[1], f"a {known} can only be compared with ==, != and in")


def _comparison(left: Operand, op: ast.cmpop, right: Operand, negated: bool) -> Trigger:
    """Return the comparison of two values, which is false if one is missing or they are of two types."""
    ordered = type(op) in _ORDER
    compare = (_ORDER if ordered else _EQUALITY)[type(op)][negated]
    one, other = left.read, right.read
    if left.kind is not None and right.kind is not None:  # the trigger itself tells the types
        bound = right.constant
        if bound is not None:
            return lambda facts: (value := one(facts)) is not None and compare(value, bound)
        return lambda facts: (
            (value := one(facts)) is not None and (with_ := other(facts)) is not None and compare(value, with_)
        )

    def holds(facts: Facts) -> bool:
        value, with_ = one(facts), other(facts)
        kind = kind_of(value)
        return kind is not None and kind == kind_of(with_) and (not ordered or kind == NUMBER) and compare(value, with_)

    return holds


def _presence(operand: Operand, wanted: bool) -> Trigger:
    """Return whether an output has the value, or lacks it if `wanted` is false. null counts as missing."""
    return lambda facts: (operand.read(facts) is not None) is wanted


def _joined(links: list[Trigger], *, every: bool) -> Trigger:
    """Return the conjunction or the disjunction."""
    if len(links) == 1:
        return links[0]
    if every:
        return lambda facts: all(link(facts) for link in links)
    return lambda facts: any(link(facts) for link in links)


def _never(_: Facts) -> bool:
    return False
