"""Adopt: a project of annotated tasks to a loop with their answers, against Label Studio's bare export of the same."""

from __future__ import annotations

import json
import time
from statistics import median
from tempfile import TemporaryDirectory
from pathlib import Path

import httpx
from click.testing import CliRunner

from benchmarks.support.goals import ADOPT, Measured
from benchmarks.support.rooms import House, Servers, house, quiet
from benchmarks.support.turns import in_turn
from console.cli import main
from labelloop.errors import Failed

LABELS = ("cat", "dog", "eel")
CHOICES = "".join(f'<Choice value="{label}"/>' for label in LABELS)
FORM = f'<View><Text name="text" value="$text"/><Choices name="label" toName="text">{CHOICES}</Choices></View>'
AT_ONCE = 1_000
