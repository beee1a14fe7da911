"""The cost of an action: so many commands for each LU and path, and two processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.host import install, seconds_of
from tests.bench.scale import processes_of, steps
from tests.bench.simulated import Site, Size

from .stage import ROOT

BENCHMARK_LIMIT_SECONDS = 120
# SCSI commands of an action: for each path of a LU, and for each LU besides.
COMMANDS = {
    # Identity, look, REGISTER, read-back; REPORT CAPABILITIES, look, REPORT CAPABILITIES.
    "on": (4, 3),
    # Identity, look.
    "status": (2, 0),
    # Identity, make and model, read-back; look, PREEMPT AND ABORT.
    "off": (3, 2),
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [install(str(tmp_path_factory.mktemp("installed")))]


@pytest.mark.parametrize(
    "size",
    [Size(2, 1, 3), Size(8, 1, 3), Size(2, 4, 3), Size(8, 4, 3), Size(2, 4, 64)],
    ids=lambda size: f"{size.units}-{size.paths}-{size.nodes}",
)
def test_commands_are_so_many_a_path_and_a_lu(size: Size, agent: list[str], tmp_path: Path) -> None:
    """However many nodes are registered; the paths of one LU cost no more than those of another."""
    site = Site(tmp_path, size)
    site.renew()
    for action, plug in steps(size):
        seconds_of(agent, site.stdin(action, plug), 0)
        a_path, a_unit = COMMANDS[action]
        assert site.commands() == size.units * (size.paths * a_path + a_unit), action


@pytest.mark.parametrize("size", [Size(1, 1, 3), Size(8, 4, 3)], ids=["small", "larger"])
def test_two_processes_whatever_there_is_to_do(
    size: Size, agent: list[str], tmp_path: Path
) -> None:
    """The one that answers and the one that works."""
    if not _can_trace() and not os.environ.get("CI"):
        pytest.skip("strace is not there, or may not trace")
    site = Site(tmp_path, size)
    site.renew()
    for action, plug in steps(size):
        trace = tmp_path / "trace"
        assert processes_of(agent, site.stdin(action, plug), trace) == 2, trace.read_text()


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-f", "true"], capture_output=True, check=False)
    return done.returncode == 0


def test_the_benchmark_runs() -> None:
    """In little; what it measures is for people, and no test's business."""
    if not _can_trace() and not os.environ.get("CI"):
        pytest.skip("strace is not there, or may not trace")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/bench/scale.py", "--quick"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=BENCHMARK_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "commands in flight, at most" in done.stdout
