"""Checks on the findings of doctor."""

from __future__ import annotations

from console.doctor.findings import Finding, Level

URL = "http://127.0.0.1:8602"


def is_fault(finding: Finding, *says: str) -> bool:
    """It says these words, why, and what repairs it in one line."""
    assert finding.level is Level.FAULT, finding
    assert all(word in finding.says for word in says), finding.says
    assert finding.why
    assert finding.repair
    assert "\n" not in finding.says + finding.why + finding.repair
    return True
