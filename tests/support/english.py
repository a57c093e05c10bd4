"""Plain English: the rules of english.md that a program can check, for the whole repository or for some paths.

    python -m tests.support.english [PATH ...]      print what breaks a rule as `file:line: rule: sentence`
    python -m tests.support.english --lower         lower the numbers of the allow-list; no number rises
    python -m tests.support.english --table         print counts by folder and rule

Exit status: 0 nothing found (or --lower, --table), 1 something found, 2 usage error. A sentence that is already on the
allow-list is printed too: a rewrite of a file mends all of it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tests.support.prose.files import ROOT, files, passages
from tests.support.prose.sentences import Paragraph, Passage, paragraphs

LIMIT = 30
"""Words in a sentence at most; the target is about 20. About 2 in 100 sentences were longer when the limit was set."""
ALLOWED = ROOT / "tests" / "support" / "english_allowed.txt"
"""Lines of file, rule and number of problems, divided by tabs: what is still to be rewritten."""
DOCUMENTED = {"module", "class", "function", "predicate"}
SENTENCES = DOCUMENTED | {"attribute", "constant", "comment", "message", "page"}
"""Kinds of passages that are whole sentences; headings and test names are not."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A sentence, or a constant, that breaks a rule."""

    path: str
    line: int
    rule: str
    words: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.words}"


NEAR = r"(?:(?! and\b| or\b)[^,;:.]){0,50}"
"""Words of the same clause."""
PATTERNS = {
    "opening": r"^(?:Of (?!course\b)|So (?:long|many)\b|So that\b|Whoever\b|Whose\b|Whom\b|(?:What|Who) (?:is|was)\b)",
    "said": r"\b(?:is|was|are|were|been|being|if|unless|not|nothing|otherwise|else|than|as) said\b"
    r"|\basked wrongly\b|\bsaid otherwise\b",
    "who": r"^Who\b|\bwhoever\b|\bnobody who\b|\bfor as long as (?:somebody|anybody|nobody)\b"
    r"|\b(?:of|to|for|by|with|from|than) who\b",
    "headless": r"\b(?:of|to|for|by|with|from|than|give|in|on|after|before|and|but|or|as) what "
    r"(?:is|was|are|were|waits|stands|came|comes|has|had)\b|\bwhat waits\b",
    "right": r"(?:%|\bpercent|\bper cent)[^.;:]{0,40} right\b|\bhow often\b[^.;:]{0,30} right\b"
    r"|(?:\d[\d,.]*|\{\}) of (?:the )?(?:\d[\d,.]*|\{\})(?: \w+){0,2} right\b"
    r"|\bright (?:answers|labels|predictions)\b|\bright (?:in [\d{]|more often|less often|as often)"
    r"|\bpoints? off\b|\bhow far (?:\w+ ){1,3}off\b",
    "none": r"\bNone: ",
    "riddle": r"\b[Ii]t is (?:not )?(?:the |an? |its |their )?"
    r"(?!(?:one|those|for|by|no|not|seen|known|clear|true|likely|possible|sure|enough)\b)"
    r"\w+(?: (?!of\b|in\b)\w+)? (?:that|who) |\bsets? right\b|, now(?:[.;,]|$)|\bnothing came of\b",
    "negatives": rf"\b[Nn]othing\b{NEAR} nothing\b"
    r"|\bnone\b[^.;]*\bnone\b"
    r"|\b[Nn]obody\b(?:(?! and\b| or\b)[^,;:.]){0,20} (?:nobody|nothing|not|no)\b"
    rf"|\b(?:[Nn]o|[Nn]othing|none|[Nn]ever)\b{NEAR} (?:that|which|who|what)(?: \w+){{0,2}} "
    r"(?:not|no|never|nothing|cannot|nobody)\b"
    rf"|\bnot\b{NEAR} (?:without|nothing(?! else)|nobody(?! else)|never)\b",
}
RULES = {rule: re.compile(pattern, re.MULTILINE) for rule, pattern in PATTERNS.items()}
EXEMPT = {"who": {"heading"}, "opening": {"heading"}, "none": {"page", "message", "heading", "test"}}
"""Kinds of passages in which a rule means nothing: a heading may be a question without its mark."""
CLAUSE = re.compile(
    r"(?:And|But|Or|Nor|Yet|So|Because|While|What|Who|Whose|Where|That|Which|How|When|Why|Whether|If)\b"
)
CLAUSE_OF_A_VALUE = re.compile(r"(?:And|But|Or|Nor|So|What|Who|Whose|Where|That|Which)\b")


ADVICE = {
    "bare": "say the unit, the range, and the use of the number",
    "constant": "one constant name has one meaning: rename one of them",
    "docstring": "start with a verb or with a noun phrase that names the value, not with a clause; "
    "Whether is for functions that return a bool, and How, When or Why for attributes",
    "headless": "name the thing: not `what is new` but `new answers`",
    "long": f"at most {LIMIT} words; about 20 is the target",
    "negatives": "say it without the second negation",
    "none": "write `None if ...`",
    "opening": "begin with the subject: not with Of, So long, So many, What is, Who is, Whose",
    "riddle": "not `it is MLflow that is away` but `MLflow is down`; no `sets right`; no `, now`",
    "right": "accuracy, correct, calibration error",
    "said": "given, set, reported; `usage error` for asked wrongly",
    "semicolons": "at most one semicolon a paragraph",
    "who": "name the actor: the worker, an annotator, the caller",
}
"""Advice for the author, by rule."""


def check(passage: Passage) -> Iterator[Problem]:
    """Find the problems of a passage."""
    for paragraph in paragraphs(passage):
        yield from _check(paragraph)


def _check(paragraph: Paragraph) -> Iterator[Problem]:
    kind = paragraph.kind
    whole = " ".join(words for _, words in paragraph.sentences)
    # Items of one or two words, as numbers in a table, are no clauses.
    semicolons = sum(len(re.findall(r"[A-Za-z]{2,}", part)) > 2 for part in whole.split(";")[1:])
    if semicolons > 1 and kind in SENTENCES:
        yield Problem(paragraph.path, paragraph.line, "semicolons", f"{semicolons} in: {whole}")
    for place, (line, words) in enumerate(paragraph.sentences):
        opens = paragraph.first and place == 0
        length = sum(bool(re.search(r"\w|\{\}", word)) for word in words.split())
        if length > LIMIT and kind in SENTENCES:
            yield Problem(paragraph.path, line, "long", f"{length} words: {words}")
        if words.endswith("?"):
            continue
        fragment = kind == "test" or (kind == "comment" and words.startswith(("of ", "what ", "who ")))
        tested = words[:1].upper() + words[1:] if fragment else words
        for rule, pattern in RULES.items():
            if pattern.search(tested) and kind not in EXEMPT.get(rule, ()):
                yield Problem(paragraph.path, line, rule, words)
        if opens and _starts_badly(kind, words):
            yield Problem(paragraph.path, line, "docstring", words)
        if opens and kind == "constant" and len(words.split()) <= 3 and whole == words:
            yield Problem(paragraph.path, line, "bare", words)


def _starts_badly(kind: str, words: str) -> bool:
    if kind == "predicate":
        return CLAUSE.match(words) is not None and not words.startswith("Whether")
    if kind in DOCUMENTED:
        return CLAUSE.match(words) is not None
    return kind in {"attribute", "constant"} and CLAUSE_OF_A_VALUE.match(words) is not None


def constants(paths: Iterable[Path], root: Path = ROOT) -> Iterator[Problem]:
    """Numbers that share a name and differ in value, in modules of one folder; tests are free in their names."""
    found: dict[tuple[Path, str], list[tuple[Path, int, str]]] = defaultdict(list)
    for path in paths:
        if path.suffix != ".py" or path.relative_to(root).parts[0] == "tests":
            continue
        for node in ast.parse(path.read_text()).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and target.id.isupper() and value is not None and _is_number(value):
                found[path.parent, target.id].append((path, node.lineno, ast.unparse(value)))
    for (_, name), places in found.items():
        if len({value for _, _, value in places}) > 1:
            for path, line, value in places:
                others = ", ".join(f"{other} in {there.name}" for there, _, other in places if other != value)
                yield Problem(path.relative_to(root).as_posix(), line, "constant", f"{name} = {value}, but {others}")


def _is_number(value: ast.AST) -> bool:
    return all(
        isinstance(part, ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop)
        or (isinstance(part, ast.Constant) and isinstance(part.value, int | float) and not isinstance(part.value, bool))
        for part in ast.walk(value)
    )


def problems(paths: Iterable[Path] | None = None) -> list[Problem]:
    """The problems of these files, or of the whole repository, in order of files and lines."""
    everything = list(files())
    chosen = everything if paths is None else list(paths)
    folders = {path.resolve().parent for path in chosen}
    found = [problem for path in chosen for passage in passages(path) for problem in check(passage)]
    beside = [path for path in everything if path.parent in folders]
    names = {path.resolve().relative_to(ROOT).as_posix() for path in chosen}
    return sorted([*found, *(one for one in constants(beside) if one.path in names)])


@lru_cache
def repository() -> tuple[Problem, ...]:
    """The problems of the whole repository, found once a process."""
    return tuple(problems())


def counts(found: Iterable[Problem]) -> Counter[tuple[str, str]]:
    """Number of problems by file and rule."""
    return Counter((problem.path, problem.rule) for problem in found)


def table(found: Iterable[Problem]) -> str:
    """Counts by folder and rule, as lines in columns."""
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for problem in found:
        for folder in (problem.path.rpartition("/")[0] or ".", "total"):
            folders[folder][problem.rule] += 1
    rules = sorted(folders["total"])
    rows = [["folder", *rules, "sum"]]
    for folder in sorted(folders, key=lambda name: (name == "total", name)):
        numbers = [folders[folder][rule] for rule in rules]
        rows.append([folder, *(str(number or "") for number in numbers), str(sum(numbers))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def allowed() -> Counter[tuple[str, str]]:
    """The allow-list: how many problems a file may still have, by file and rule."""
    rows = (line.split("\t") for line in ALLOWED.read_text().splitlines() if line)
    return Counter({(path, rule): int(number) for path, rule, number in rows})


def write_allowed(numbers: Counter[tuple[str, str]]) -> None:
    """Write the allow-list anew, sorted and without zeros."""
    rows = [f"{path}\t{rule}\t{number}\n" for (path, rule), number in sorted(numbers.items()) if number]
    ALLOWED.write_text("".join(rows))


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    if arguments == ["--lower"]:
        write_allowed(allowed() & counts(problems()))
        return 0
    if arguments == ["--table"]:
        print(table(problems()))
        return 0
    chosen: list[Path] = []
    for argument in arguments:
        path = Path(argument).resolve()
        if not path.exists() or not path.is_relative_to(ROOT):
            print(f"{argument}: no such file or folder of the repository", file=sys.stderr)
            return 2
        chosen += [one for one in files() if one.is_relative_to(path)]
    found = problems(chosen if arguments else None)
    for problem in found:
        print(problem)
    for rule in sorted({problem.rule for problem in found}):
        print(f"{rule}: {ADVICE[rule]}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
