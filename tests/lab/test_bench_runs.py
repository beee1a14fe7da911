"""The benchmark runs; what it measures is for people, and no test's business."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .guest import REPO, why_not

TIMEOUT_S = 120


def test_quick_run() -> None:
    """Every part of it, with few LUs and one run of each."""
    reason = why_not()
    if reason is not None and not os.environ.get("CI"):
        pytest.skip(f"the lab cannot run: {reason}")
    done = subprocess.run(
        [sys.executable, REPO / "tests/bench/fence_off.py", "--quick"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fence_scsi / drain=target" in done.stdout
    assert "status, as installed / bare python3" in done.stdout
