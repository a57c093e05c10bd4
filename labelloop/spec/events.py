"""The events that a callback can be told of. The table callbacks lists the same."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    OUTPUT_ANSWERED = "output.answered"
    """An output has its final label, for the first time."""
    ANSWER_CHANGED = "answer.changed"
    """The final label of an answered output is another one now, or was taken back."""
    TASK_COMPLETED = "task.completed"
    """A task in Label Studio has enough answers; once more after a second opinion."""
    VERSION_PROMOTED = "version.promoted"
    """The loop has another champion, by promotion or by going back."""
    OUTPUT_ACCEPTED = "output.accepted"
    """An output passed unseen by a certificate; nobody answered it."""
    CERTIFICATE_WITHDRAWN = "certificate.withdrawn"
    """Nothing passes unseen any more by this certificate, or a person revoked what it let pass."""

    ALERT_OPENED = "alert.opened"
    """Somebody did something in Label Studio to the work of others; it does not count until a person accepts it."""


USUAL = (Event.OUTPUT_ANSWERED, Event.ANSWER_CHANGED)
"""The events of a callback for which none are named: those that a pipeline acts on."""
