"""Refusals of commands that would harm an adopted project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.cli.output import to_stderr
from labelloop.errors import UsageError

if TYPE_CHECKING:
    from labelloop.store.adoptions import Adoption


def refuse_released(adoption: Adoption | None) -> None:
    """Raise UsageError if the loop gave its project back: there is nothing that it could go on with."""
    if adoption is not None and adoption.released_at is not None:
        raise UsageError(
            f"loop {adoption.loop!r} gave its project back on {adoption.released_at:%Y-%m-%d}. To adopt it again: "
            f"labelloop adopt --project {adoption.project_id} --loop {adoption.loop}"
        )


def refuse_adopted(adoption: Adoption | None, with_project: bool) -> None:
    """Raise UsageError rather than delete a project that people made; say what else its settings need."""
    if adoption is None:
        return
    if with_project:
        raise UsageError(
            f"nothing is removed: people made project {adoption.project_id}, and the loop only adopted it. Leave "
            "--with-project out; who wants to delete the project does it in Label Studio"
        )
    if adoption.released_at is None:
        to_stderr(
            f"project {adoption.project_id} keeps the settings and predictions of the loop: to give it back as it was, "
            f"first run `labelloop release --loop {adoption.loop}`"
        )
