"""Services and workers start without the libraries that only training and estimates need."""

from __future__ import annotations

import subprocess
import sys

from console.local.supervisor import ROOT


def test_services_and_workers_start_without_scipy_scikit_learn_and_pandas() -> None:
    """Each of the four would need 40 MB and half a second more."""
    rooms = "sync.service, sync.worker, backend.service, backend.worker"
    script = f"import sys, {rooms}; print(sorted({{'scipy', 'sklearn', 'pandas'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
