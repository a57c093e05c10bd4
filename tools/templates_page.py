"""Write docs/pipelines/label-studio-templates.md from the templates of the installed Label Studio."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from console.files.label_studio import installed, mended
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.spec.folder import parse

PAGE = Path(__file__).parents[1] / "docs" / "pipelines" / "label-studio-templates.md"
_TOP = """# Label Studio's templates

Label Studio 1.23.2 ships {total} templates of forms. A test takes each from `labelloop migrate` to an answer of two
people in Postgres. The answer has a kind that `labelloop` reads in {typed} of them. In the others it is kept as Label
Studio writes it: their tags are shown by Label Studio's Enterprise edition only.

`labelloop init my-loop --from-label-studio-template NAME` makes a loop of one. [Forms](forms.md#controls) says what the
kinds of answers are.

| name | the answer |
|---|---|
"""
_ENTERPRISE = ("Chat", "OcrLabels")
_YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'


def page() -> str:
    """Return the text of the page."""
    rows = {name: _row(xml) for name, xml in sorted(installed().items())}
    typed = sum(is_typed for _, is_typed in rows.values())
    lines = [f"| `{name}` | {words} |" for name, (words, _) in rows.items()]
    return _TOP.format(total=len(rows), typed=typed) + "\n".join(lines) + "\n"


def _row(xml: str) -> tuple[str, bool]:
    """Return the answer in words, and whether labelloop reads it."""
    answer = parse("template", _YAML, mended(xml)).config.answer
    parts = answer.parts or (answer,)
    typed = {part.kind for part in parts} != {Kind.OTHER}
    words = _words(answer) if typed else "kept as it is"
    tags = [tag for tag in _ENTERPRISE if f"<{tag} " in xml]
    return words + (f"; `{tags[0]}` needs the Enterprise edition" if tags else ""), typed


def _words(answer: ControlTag) -> str:
    if not answer.parts:
        return answer.kind.words
    counted: dict[str, int] = {}
    for part in answer.parts:
        counted[part.kind.words] = counted.get(part.kind.words, 0) + 1
    return "several controls: " + ", ".join(f"{words} ({n} times)" if n > 1 else words for words, n in counted.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
