"""Plain English: what english.md asks for and a program can check. `python -m tests.support.english` lists it all.

english_allowed.txt holds what is still to be rewritten. Its numbers only go down:
`python -m tests.support.english --lower` writes the lower ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import english
from tests.support.english import Problem, check, counts
from tests.support.prose.files import passages
from tests.support.prose.sentences import Passage

REWRITTEN = [
    (
        "constant",
        "So long nothing waits that a worker looks at.",
        "A job older than this means that no worker is running.",
    ),
    (
        "constant",
        "Of 19: annotators and predictions come first.",
        "Niceness of the training process (0 to 19); serving keeps priority.",
    ),
    ("constant", "Held-out answers.", "How many of the newest held-out answers count as recent."),
    (
        "constant",
        "So long a batch whose answer is lost still fills its part of the window; then people get other tasks.",
        "A batch whose reply was lost keeps its window slots for this long; after that they are refilled.",
    ),
    (
        "class",
        (
            "Whoever finds a batch that its owner has left knows by this what to do, and an owner that wakes up late "
            "finds its right to go on gone."
        ),
        (
            "The state tells the next push how to finish an abandoned batch. If the first owner resumes later, its "
            "compare-and-set fails."
        ),
    ),
    (
        "attribute",
        "Other learners, which give one label and no more. Who is not named here is asked when it is taught.",
        "Learners that predict exactly one label. Any other learner is checked when training starts.",
    ),
    (
        "attribute",
        "Learners that no answer teaches: a run needs none, and none is asked for because there are more of them.",
        "Learners that do not train. New answers never trigger a run for them.",
    ),
    (
        "function",
        "What people said and nothing came of, by what the tables of the next hop should hold.",
        "Answers lost between hops: annotations without feedback, agreed outputs without a label.",
    ),
    (
        "attribute",
        "Why it is not the champion of record that serves; None: it is.",
        "Why an older version is serving instead of the recorded champion; None if they match.",
    ),
    (
        "constant",
        "Runs in a row that could not be written: it is MLflow that is away, and not these runs.",
        "After this many consecutive failures, assume that MLflow is down and stop.",
    ),
    (
        "module",
        "Exit status: 0 done, 1 it failed, 2 it was asked wrongly.",
        "Exit status: 0 success, 1 failure, 2 usage error.",
    ),
    (
        "function",
        (
            "Fill the window in Label Studio with the most useful outputs, now; sets right what was changed in the "
            "project."
        ),
        "Push the most useful waiting outputs to Label Studio, and restore project settings that somebody changed.",
    ),
    (
        "function",
        "Give what waits today's labels and utilities, now.",
        "Recompute labels and utilities of all waiting outputs with the current models.",
    ),
    (
        "function",
        "Who answered how much, how fast, and how often right where the answer was known (gold).",
        "Per annotator: number of answers, speed, accuracy on gold items.",
    ),
    (
        "message",
        "challenger 80 of 83 right (96.4 %, 89.9 to 98.8)",
        "challenger accuracy 96.4 % (80 of 83; 95 % CI 89.9 to 98.8)",
    ),
    ("message", "confidences are 11.2 points off (ECE)", "calibration error (ECE) 11.2 %"),
    (
        "page",
        "Its model has 65.3% of the test part right, which nobody is shown.",
        "Its accuracy is 65.3 % on the test set, which no annotator sees.",
    ),
]
"""Kind, bad sentence, plain sentence: the table of english.md."""


def test_no_file_has_more_problems_than_its_allow_list_entry() -> None:
    found, allowed = english.repository(), english.allowed()
    more = counts(found) - allowed
    listed = [str(problem) for problem in found if (problem.path, problem.rule) in more]
    assert not listed, f"english.md, {sum(more.values())} new:\n" + "\n".join(listed)


def test_the_allow_list_shrinks_with_the_problems() -> None:
    fewer = english.allowed() - counts(english.repository())
    assert not fewer, "lower it, with `python -m tests.support.english --lower`:\n" + "\n".join(
        f"{path}\t{rule}\tby {number}" for (path, rule), number in sorted(fewer.items())
    )


@pytest.mark.parametrize(("kind", "bad", "plain"), REWRITTEN)
def test_the_rules_find_the_bad_sentence_and_pass_the_plain_one(kind: str, bad: str, plain: str) -> None:
    assert list(check(Passage("a.py", 1, bad, kind)))
    assert list(check(Passage("a.py", 1, plain, kind))) == []


@pytest.mark.parametrize(
    ("kind", "text", "rule"),
    [
        ("comment", " ".join(["word"] * (english.LIMIT + 1)), "long"),
        ("page", "It reads a file of rows; it writes a file of rows; it stops at once.", "semicolons"),
        ("function", "Whether the loop is archived.", "docstring"),
        ("module", "And then the next one.", "docstring"),
        ("page", "The model is right in 93 % of the cases.", "right"),
        ("message", "{} of {} right", "right"),
        ("attribute", "Seconds; None: no limit.", "none"),
        ("page", "It is served by whoever comes first.", "who"),
        ("page", "No learner that is not trained is listed.", "negatives"),
        ("function", "Return the labels of what is new.", "headless"),
        ("message", "unless said", "said"),
        ("test", "what is skipped leaves its place to another", "opening"),
    ],
)
def test_each_rule_finds_its_problem(kind: str, text: str, rule: str) -> None:
    assert [problem.rule for problem in check(Passage("a.py", 1, text, kind))] == [rule]
    assert rule in english.ADVICE


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("predicate", "Whether the loop is archived."),
        ("comment", " ".join(["word"] * english.LIMIT)),
        ("function", "Return the value (Wilson 1927, doi:10.1080/01621459.1927.10502953)."),
        ("heading", "Who may decide"),
        ("page", "Of course it runs twice."),
        ("page", "What is a gate?"),
        ("page", "94.5 %; 93.4; 93.8; 73.6"),
        ("page", "Run `labelloop push; labelloop pull; labelloop status; labelloop what is new`."),
        ("comment", "Kahn et al. 2001 say so. A second sentence stands here."),
    ],
)
def test_plain_sentences_pass(kind: str, text: str) -> None:
    assert list(check(Passage("a.py", 1, text, kind))) == []


def read(folder: Path, name: str, text: str) -> list[tuple[int, str, str]]:
    (folder / name).write_text(text)
    return [(one.line, one.kind, " ".join(one.text.split())) for one in passages(folder / name, folder)]


def test_docstrings_comments_and_messages_of_python_are_read_with_their_lines(tmp_path: Path) -> None:
    source = '''"""The module."""

FEW = 4
"""Answers at least."""
# A comment
# of two lines.
TEXT = "#none"  # a comment at the end  # noqa: E501


def some(n: int) -> bool:
    """Return something."""
    conn.execute("select this and that from a table of rows")
    raise ValueError(f"there are only {n} answers here")
'''
    assert sorted(read(tmp_path, "a.py", source)) == [
        (1, "module", "The module."),
        (4, "constant", "Answers at least."),
        (5, "comment", "A comment of two lines."),
        (7, "comment", "a comment at the end"),
        (11, "predicate", "Return something."),
        (13, "message", "there are only {} answers here"),
    ]


def test_pages_and_templates_are_read_without_their_code(tmp_path: Path) -> None:
    page = "# A title\n\nSome prose\nof two lines.\n\n```sh\nwhat is code\n```\n\n| a | b |\n|---|---|\n"
    assert read(tmp_path, "a.md", page) == [
        (1, "heading", "A title"),
        (3, "page", "Some prose of two lines."),
        (10, "page", "a"),
        (10, "page", "b"),
    ]
    template = (
        "<h1>Title</h1>\n<p>Text of {{ name }}\n{% if a %}here{% else %}there{% endif %}.</p><script>x y z</script>"
    )
    assert read(tmp_path, "a.html", template) == [
        (1, "heading", "Title"),
        (2, "page", "Text of {} here"),
        (3, "page", "there."),
    ]


def test_constants_of_one_name_and_several_values_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("FEW = 4\nSAME = 1\n")
    (tmp_path / "b.py").write_text("FEW = 20\nSAME = 1\n")
    found = [str(one) for one in english.constants(sorted(tmp_path.iterdir()), tmp_path)]
    assert found == ["a.py:1: constant: FEW = 4, but 20 in b.py", "b.py:1: constant: FEW = 20, but 4 in a.py"]


def test_the_command_prints_problems_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(Path(english.__file__))
    assert english.main([here]) == 0
    assert english.main(["no-such-file"]) == 2
    found = Problem("a.py", 7, "long", "A sentence of forty words.")
    monkeypatch.setattr(english, "problems", lambda _: [found])
    assert english.main([here]) == 1
    assert capsys.readouterr().out == f"{found}\n"
