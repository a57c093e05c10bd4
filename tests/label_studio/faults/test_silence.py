"""Packets that vanish while an import waits for its reply: the caller has its error long before the time limit."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

NAMESPACE = ["unshare", "-rn"]


def test_an_import_whose_packets_vanish_ends_within_seconds_as_one_that_may_have_arrived() -> None:
    if not all(map(shutil.which, ("ip", "unshare"))) or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("needs ip, and the right to make network namespaces")
    command = [*NAMESPACE, sys.executable, "-m", "tests.support.network.silence"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    name, seconds = done.stdout.split()
    assert name == "Ambiguous"
    assert 10 <= int(seconds) <= 60, "the limit of an import is 130 s"
