#!/usr/bin/env python3
"""Benchmark: many LUs with several paths and many nodes, simulated; what the cost follows.

`on` of the last node, `status` of another one and `off` of that, by the agent as it is
installed: SCSI commands, processes, memory and time, for growing numbers of LUs, for
fewer paths and for fewer nodes.  A simulated LU is a file that each command reads and
parses: the last columns tell how much CPU a command costs the agent itself, and which
share of all CPU is the simulator's.

It prints a table and the goals; it fails only where an action does. Needs strace.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fence_prbarrier.discovery import MAX_PROBES_AT_ONCE
from fence_prbarrier.dispatcher import MAX_UNITS_AT_ONCE
from tests.bench.host import adopt_orphans, install, peak_mib_of, seconds_of
from tests.bench.inside import Share, share
from tests.bench.simulated import LIMIT_SECONDS, Site, Size
from tests.bench.table import Goal, show, show_goals

REPETITIONS = 3
SIZES = (
    *(Size(units, 4, 64) for units in (1, 16, 64, 256)),
    *(Size(256, 4, 8), Size(256, 1, 64)),
)
QUICK_SIZES = (Size(2, 2, 4), Size(4, 2, 4))
VICTIM = "n2"
MAX_MIB = 60
MAX_PROCESSES = 2
MAX_TIME_RATIO = 1.5
STARTERS = "execve,fork,vfork,clone,clone3"


class Cost(NamedTuple):
    """What one action took at one size."""

    commands: int
    processes: int
    peak_mib: float
    seconds: float
    share: Share

    @property
    def ms_each(self) -> float:
        """Milliseconds of the whole action for each of its commands."""
        return 1000 * self.seconds / self.commands

    @property
    def own_ms_each(self) -> float:
        """Milliseconds of CPU for each command, without the simulator's."""
        return 1000 * (self.share.cpu_seconds - self.share.simulator_seconds) / self.commands


def steps(size: Size) -> list[tuple[str, str]]:
    """The actions of one round, in order, and whom they are about."""
    return [("on", size.local), ("status", VICTIM), ("off", VICTIM)]


def processes_of(words: list[str], stdin: bytes, trace: Path) -> int:
    """How many processes an action is, itself included, as strace sees them."""
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-o", str(trace)]
    command = [*strace, "-e", f"trace={STARTERS}", *words]
    subprocess.run(command, input=stdin, check=True, capture_output=True, timeout=LIMIT_SECONDS)
    lines = trace.read_text().splitlines()
    born = [text for text in lines if re.search(r"(fork|clone3?)(\(| resumed)", text)]
    started = [t for t in born if re.search(r"= \d+$", t) and "CLONE_THREAD" not in t]
    return 1 + len(started)


def costs(size: Size, repetitions: int, folder: Path, agent: list[str]) -> dict[str, Cost]:
    """action -> what it took; every round begins with LUs that the last node has not joined."""
    site = Site(folder, size)
    times: dict[str, list[float]] = {action: [] for action, _ in steps(size)}
    for _ in range(repetitions):
        site.renew()
        for action, plug in steps(size):
            times[action].append(seconds_of(agent, site.stdin(action, plug), 0, LIMIT_SECONDS))
    site.renew()
    processes = {
        action: processes_of(agent, site.stdin(action, plug), folder / "trace")
        for action, plug in steps(size)
    }
    site.renew()
    shares = {action: share(site, action, plug) for action, plug in steps(size)}
    site.renew()
    found = {}
    for action, plug in steps(size):
        peak = peak_mib_of(agent, site.stdin(action, plug), LIMIT_SECONDS)
        middle = median(times[action])
        found[action] = Cost(site.commands(), processes[action], peak, middle, shares[action])
    return found


def rows(size: Size, found: dict[str, Cost]) -> list[list[str]]:
    """The lines of the table for one size."""
    return [
        [
            *(action, str(size.units), str(size.paths), str(size.nodes)),
            *(str(cost.commands), f"{cost.commands / size.units:.0f}"),
            *(str(cost.share.most_probes), str(cost.share.most_commands)),
            *(str(cost.processes), f"{cost.peak_mib:.1f}", f"{cost.seconds:.2f}"),
            *(f"{cost.ms_each:.2f}", f"{cost.own_ms_each:.2f}"),
            f"{cost.share.simulator_seconds / cost.share.cpu_seconds:.0%}",
        ]
        for action, cost in found.items()
    ]


def goals(measured: dict[Size, dict[str, Cost]]) -> list[Goal]:
    """The bounds: those of cost next to the second size, the others over everything."""
    sizes = list(measured)
    few = sizes[min(1, len(sizes) - 2)]
    many = max(sizes, key=lambda size: (size.units, size.paths, size.nodes))
    every = [cost for found in measured.values() for cost in found.values()]
    bounds = []
    for action, cost in measured[many].items():
        base = measured[few][action]
        a_unit = (cost.commands / many.units) / (base.commands / few.units)
        name = f"{action}, {many.units} LUs / {few.units}"
        bounds.append(Goal(f"commands a LU of {name}", a_unit, at_most=1))
        for what, ratio in (
            ("ms", cost.ms_each / base.ms_each),
            ("own CPU ms", cost.own_ms_each / base.own_ms_each),
        ):
            bounds.append(Goal(f"{what} a command of {name}", ratio, at_most=MAX_TIME_RATIO))
    most = [
        ("processes", max(cost.processes for cost in every), MAX_PROCESSES),
        ("peak MiB", max(cost.peak_mib for cost in every), MAX_MIB),
        ("probes in flight", max(cost.share.most_probes for cost in every), MAX_PROBES_AT_ONCE),
        ("commands in flight", max(cost.share.most_commands for cost in every), MAX_UNITS_AT_ONCE),
    ]
    return bounds + [Goal(f"{name}, at most", value, at_most=limit) for name, value, limit in most]


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few LUs, one run of each")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    options = parser.parse_args()
    repetitions = 1 if options.quick else options.repetitions
    adopt_orphans()
    measured = {}
    with tempfile.TemporaryDirectory() as directory:
        agent = [install(f"{directory}/installed")]
        for number, size in enumerate(QUICK_SIZES if options.quick else SIZES):
            folder = Path(directory, str(number))
            folder.mkdir()
            measured[size] = costs(size, repetitions, folder, agent)
    print(f"simulated LUs, medians of {repetitions} runs, {sys.version.split()[0]}:")
    columns = "action|LUs|paths|nodes|commands|a LU|probes|in flight|processes|peak MiB|s|ms each"
    lines = [line for size, found in measured.items() for line in rows(size, found)]
    show([*columns.split("|"), "own CPU ms", "simulator"], lines)
    show_goals(goals(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
