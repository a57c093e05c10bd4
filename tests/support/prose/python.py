"""The prose of Python modules and of `#` comments: docstrings, comments, messages, help texts and names of tests."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.support.prose.sentences import is_prose

DIRECTIVE = re.compile(
    r"\s*(noqa|type:|fmt:|pragma|ruff:|mypy:|isort:|shellcheck|syntax=|!|-\*-|https?://\S+$|--hash)", re.IGNORECASE
)
DATABASE_CALLS = {"execute", "executemany", "stream", "SQL", "copy", "_all", "_one", "fetchall", "fetchone", "scalar"}
"""Functions whose arguments are SQL, and no messages."""
Found = Iterator[tuple[int, str, str]]
"""Line, text and kind of a passage."""


def of_python(source: str, name: str) -> Found:
    """The passages of a module; of a test module without its string literals."""
    spans: list[tuple[int, int, int, int]] = []
    documented: set[int] = set()
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(source), name.startswith("tests/"))]
    while stack:
        node, silent = stack.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.lineno, node.name.removeprefix("test_").replace("_", " "), "test"
            for before, statement in zip([None, *node.body], node.body, strict=False):
                if isinstance(statement, ast.Expr) and (text := _literal(statement.value)) is not None:
                    documented.add(id(statement.value))
                    yield statement.lineno, text, _kind(node) if before is None else _documents(before)
        elif isinstance(node, ast.Constant | ast.JoinedStr):
            text = _literal(node)
            if text is not None:
                spans.append((node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0))
                if not silent and id(node) not in documented and is_prose(text):
                    yield node.lineno, text, "message"
            if isinstance(node, ast.JoinedStr):
                stack += [(part, silent) for part in node.values if not isinstance(part, ast.Constant)]
            continue
        elif isinstance(node, ast.Call):
            silent = silent or getattr(node.func, "attr", getattr(node.func, "id", "")) in DATABASE_CALLS
        elif isinstance(node, ast.keyword) and node.arg == "help" and not silent:
            text = _literal(node.value)
            if text is not None and not is_prose(text):  # however short: what is prose is read below
                yield node.value.lineno, text, "message"
        stack += [(child, silent) for child in ast.iter_child_nodes(node)]
    yield from grouped(list(_comments(source, spans)))


def grouped(comments: list[tuple[int, int, str]]) -> Found:
    """Comments of (line, column, text) as passages: neighbours of one column are one text; column -1 stands alone."""
    start, text, last = 0, "", (0, -2)
    for line, column, string in comments:
        parts = [part for part in re.split(r"(?:^|\s)#+", string) if part.strip() and not DIRECTIVE.match(part)]
        words = " ".join(parts)
        if column >= 0 and last == (line - 1, column) and text:
            text += "\n" + words
        else:
            if text.strip():
                yield start, text, "comment"
            start, text = line, words
        last = (line, column)
    if text.strip():
        yield start, text, "comment"


def _kind(node: ast.AST) -> str:
    if isinstance(node, ast.Module):
        return "module"
    if isinstance(node, ast.ClassDef):
        return "class"
    returns = getattr(node, "returns", None)
    return "predicate" if returns is not None and "bool" in ast.unparse(returns) else "function"


def _documents(statement: ast.stmt) -> str:
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    numbers = [part for part in ast.walk(value) if isinstance(part, ast.Constant)] if value is not None else []
    simple = isinstance(value, ast.Constant | ast.BinOp | ast.UnaryOp)
    is_number = simple and all(
        isinstance(one.value, int | float) and not isinstance(one.value, bool) for one in numbers
    )
    return "constant" if is_number and numbers else "attribute"


def _literal(node: ast.AST) -> str | None:
    """The words of a string or an f-string, with `{}` for each value; None for another node."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def _comments(source: str, strings: list[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, str]]:
    """The comments of a Python source, given where its strings are: line, column in bytes and the same of the end."""
    on_line: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for first, start, last, end in strings:
        for line in range(first, last + 1):
            on_line[line].append((start if line == first else 0, end if line == last else 1 << 30))
    for number, text in enumerate(source.splitlines(), 1):
        if "#" not in text:
            continue
        for match in re.finditer(b"#", line_bytes := text.encode()):
            if not any(start <= match.start() < end for start, end in on_line[number]):
                alone = not line_bytes[: match.start()].strip()
                yield number, match.start() if alone else -1, line_bytes[match.start() :].decode()
                break
