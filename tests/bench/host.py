"""The host's part: `status` of a simulated LU next to a bare interpreter, time and memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.bench.table import Goal, show

REPO = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
PR_SET_CHILD_SUBREAPER = 36
STATUS_OFF = 2
RUN_TIMEOUT_S = 60
MAX_RATIO = 2.5
MAX_MIB = 25


def adopt_orphans() -> None:
    """Have this process reap what its grandchildren are, so that their memory is told to it."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("PR_SET_CHILD_SUBREAPER")


def start(words: list[str], stdin: bytes) -> subprocess.Popen[bytes]:
    """Start a program, its input in a file."""
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        env = {**os.environ, "PYTHONPATH": str(REPO)}
        return subprocess.Popen(words, stdin=file, stdout=subprocess.DEVNULL, env=env)


def seconds_of(
    words: list[str], stdin: bytes, expected: int, limit_seconds: int = RUN_TIMEOUT_S
) -> float:
    """How long a program takes, from its start to its end."""
    began = time.perf_counter()
    code = start(words, stdin).wait(limit_seconds)
    seconds = time.perf_counter() - began
    assert code == expected, (words, code)
    return seconds


def reap() -> int:
    """Wait until no child is left, adopted ones included; the largest one's peak in KiB."""
    peak_kib = 0
    with contextlib.suppress(ChildProcessError):
        while True:
            peak_kib = max(peak_kib, os.wait4(-1, 0)[2].ru_maxrss)
    return peak_kib


def peak_mib_of(words: list[str], stdin: bytes, limit_seconds: int = RUN_TIMEOUT_S) -> float:
    """The largest of a program's processes.

    A shell in the background starts it: a process's ru_maxrss begins with the
    size of whoever it was forked from, and the shell is small.
    """
    reap()  # what earlier programs left behind is not this one's
    script = 'exec 3<&0; "$@" <&3 3<&- &'
    start(["/bin/sh", "-c", script, "sh", *words], stdin).wait(limit_seconds)
    return reap() / 1024


def install(directory: str) -> str:
    """The agent as ``make install`` puts it; its path."""
    prefix = f"PREFIX={directory}"
    make = ["make", "-s", "-C", str(REPO), "install", prefix, f"AGENT_PYTHON={PYTHON}"]
    subprocess.run(make, check=True, timeout=120)
    return f"{directory}/sbin/fence_prbarrier"


def host_part(repetitions: int) -> list[Goal]:
    """Measure, print."""
    with tempfile.TemporaryDirectory() as directory:
        common = f"nodes=n1:1,n2:2\ncluster_name=c\nlocal_name=n1\nstate_dir={directory}/state\n"
        common += f"devices=mock:{directory}/disk?profile=spec\n"
        agent = [install(directory)]
        seconds_of(agent, f"action=on\nplug=n1\n{common}".encode(), 0)
        status = f"action=status\nplug=n2\n{common}".encode()
        bare = "python3 -c pass"
        programs: dict[str, tuple[list[str], bytes, int]] = {
            bare: ([PYTHON, "-c", "pass"], b"", 0),
            "status, as installed": (agent, status, STATUS_OFF),
            "status, python3 -m": ([PYTHON, "-m", "fence_prbarrier"], status, STATUS_OFF),
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(repetitions + 1):
            for name, program in programs.items():
                times[name].append(seconds_of(*program))
        adopt_orphans()
        peak = {name: peak_mib_of(*program[:2]) for name, program in programs.items()}
    middle = {name: median(found[1:]) for name, found in times.items()}
    print(f"on the host, {repetitions} interleaved runs of each, {sys.version.split()[0]}:")
    columns = ("program", "median ms", "ratio", "peak MiB")
    rows = [
        (n, f"{middle[n] * 1000:.1f}", f"{middle[n] / middle[bare]:.2f}", f"{peak[n]:.1f}")
        for n in programs
    ]
    show(columns, rows)
    goals = []
    for name in list(programs)[1:]:
        goals.append(Goal(f"{name} / bare python3", middle[name] / middle[bare], at_most=MAX_RATIO))
        goals.append(Goal(f"{name}, peak MiB", peak[name], at_most=MAX_MIB))
    return goals
