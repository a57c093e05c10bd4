"""The section `examples` of loop.yaml: the texts from which exports make examples for training a language model."""

from __future__ import annotations

from pydantic import Field, model_validator

from labelloop.spec.faults import Contradiction, Fault
from labelloop.spec.sections import Strict


class Examples(Strict):
    """The prompt, and the text that each label declares the best one. Fields are those of the data that people see."""

    prompt: str
    """Field with the prompt: a text, or a conversation as a list of {author, text}."""
    texts: dict[str, str] = Field(min_length=1)
    """Field of the best text, by label. A label that is named neither here nor in `edits` gives no example."""
    edits: dict[str, str] = Field(default={})
    """TextArea in which people write a text that is better than all of `texts`, by label."""

    @model_validator(mode="after")
    def _one_text_a_label(self) -> Examples:
        if both := sorted(self.texts.keys() & self.edits.keys()):
            words = f"{both[0]!r} is in texts and in edits; the best text of a label is in one of them"
            raise Contradiction(Fault(("edits", both[0]), words, at_key=True))
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of `texts`, each once."""
        return tuple(dict.fromkeys(self.texts.values()))
