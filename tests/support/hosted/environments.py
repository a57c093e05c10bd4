"""Environments for hosted models, made once a session: the two lines of label-studio-ml cannot share one."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOSTED = Path(__file__).parent
UV = ROOT / ".venv-uv" / "bin" / "uv"
NO_NETWORK = ("dns error", "tcp connect error", "error sending request", "network connectivity is disabled")


def line_1x(folder: Path, version: str = "python3.11") -> Path:
    """The interpreter of an environment with label-studio-ml 1.0.9 as the package index has it, by its lock."""
    python = _environment(folder, version)
    done = _uv("pip", "sync", "--python", str(python), "--require-hashes", str(ROOT / "locks" / "label-studio-ml.lock"))
    if done.returncode and any(said in done.stderr.lower() for said in NO_NETWORK):
        pytest.skip(f"no package index can be reached: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    return python


def line_2x(folder: Path, version: str = "python3.11") -> Path:
    """The interpreter of an environment with our own package of the 2.x interface: the line is on no package index."""
    python = _environment(folder, version)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "interface.pth").write_text(str(HOSTED / "interface_2x"))
    return python


def with_numpy(line: Callable[[Path, str], Path], folder: Path) -> Path:
    """The interpreter of an environment of this line in which numpy, scipy, scikit-learn and Pillow are ours."""
    python = line(folder, sys.executable)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "numpy-and-others.pth").write_text(sysconfig.get_path("purelib"))
    return python


def _environment(folder: Path, version: str) -> Path:
    done = _uv("venv", "--python", version, str(folder))
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "python"


def _uv(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([UV, "--quiet", *args], check=False, capture_output=True, text=True, cwd=ROOT)
