"""``make demo`` tells its story with exit code 0, and notices a story gone wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fence_prbarrier import demo

from .test_lint import ROOT


def test_the_story_comes_out() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fence_prbarrier.demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    for words in (
        "Success: Powered OFF",
        "[n2] WRITE(10) to block 7 -> RESERVATION CONFLICT",
        "[n3] WRITE(10) to block 7 -> GOOD",
        "SERVICE ACTION RESERVATION KEY",
        "has been evicted and may evict nobody",
        "as it should be: incarnation",
    ):
        assert words in done.stdout


def test_a_wrong_step_is_counted(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    story = demo.Demo(str(tmp_path))
    story.agent("n1", "status", "n2", 2)  # nobody has joined: that is an error, not OFF
    assert story.failures == 1
    assert "WRONG: exit code 1" in capsys.readouterr().out
