#!/usr/bin/env python3
"""Benchmark: how long a fence takes, next to fence_scsi, on one target in one run.

In the lab's guest: our `off` on all LUs and on one, with drain=target and
drain=auto, and fence_scsi's `off` on the same LUs, interleaved. On the host:
our `status` of a simulated LU next to a bare interpreter.

It prints times, ratios and the targets; it fails only where a fence does. Needs
what the lab needs (tests/lab/deps.sh).
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.host import host_part
from tests.bench.table import Goal, show, show_goals
from tests.lab.agent import (
    NODES,
    PYTHON,
    READ_KEYS,
    REGISTER_AND_IGNORE,
    RESERVE,
    WERO,
    bears,
    pr_in,
    pr_out,
)
from tests.lab.guest import why_not
from tests.lab.san import Lab

UNITS = 8
REPETITIONS = 7
RUN_TIMEOUT_S = 120.0
PREFIX = "/opt/agent"
AGENT = f"{PREFIX}/sbin/fence_prbarrier"
STATE_DIR = "/run/fp-bench"
FENCE_SCSI_KEYS = {"n1": 0xA0001, "n2": 0xA0002}
FENCE_SCSI_FILE = "/var/run/cluster.key"
STARTERS = "execve,fork,vfork,clone,clone3"


class Case(NamedTuple):
    """One thing to measure: a fence of n2 by n1."""

    name: str
    units: int
    ours: bool
    drain: str = ""


class Counted(NamedTuple):
    """What a run cost besides time."""

    processes: int
    commands: int
    resets: int


def cases(units: int) -> list[Case]:
    """Every case, in the order of one round."""
    return [
        Case("fence_prbarrier drain=target", units, True, "target"),
        Case("fence_prbarrier drain=target", 1, True, "target"),
        Case("fence_prbarrier drain=auto", units, True, "auto"),
        Case("fence_prbarrier drain=auto", 1, True, "auto"),
        Case("fence_scsi", units, False),
    ]


def prepare(lab: Lab, units: int, keys: dict[str, int]) -> None:
    """Both nodes registered on so many LUs, reserved by n1; no unit attentions are left."""
    lab.clear()
    for lun in range(units):
        for who, key in keys.items():
            pr_out(lab, who, lun, REGISTER_AND_IGNORE, 0, key)
        pr_out(lab, "n1", lun, RESERVE, keys["n1"], 0)
        for who in keys:
            pr_in(lab, READ_KEYS, lun, who)


def command(lab: Lab, case: Case) -> tuple[str, str]:
    """The command line that fences n2, and its standard input."""
    devices = ",".join(lab.dev("n1", lun) for lun in range(case.units))
    if not case.ours:
        return f"fence_scsi -o off -k {FENCE_SCSI_KEYS['n2']:x} -d {devices}", ""
    values = {
        "action": "off",
        "plug": "n2",
        "devices": devices,
        "nodes": NODES,
        "cluster_name": "lab",
        "local_name": "n1",
        "state_dir": STATE_DIR,
        "drain": case.drain,
    }
    return AGENT, "".join(f"{name}={value}\n" for name, value in values.items())


def gone(lab: Lab, case: Case, key: int) -> None:
    """The fence did what it said."""
    for lun in range(case.units):
        found = bears(lab, lun, "n1")
        assert found.type == WERO and found.keys and key not in found.keys, (case, found)


def timed(lab: Lab, case: Case, keys: dict[str, int]) -> float:
    """Seconds of one fence, by the guest's clock, with nothing of the lab in between."""
    prepare(lab, case.units, keys)
    line, stdin = command(lab, case)
    script = f"began=$EPOCHREALTIME; {line} || exit; echo; echo $began $EPOCHREALTIME"
    words = lab.ok(script, RUN_TIMEOUT_S, stdin).split()
    gone(lab, case, keys["n2"])
    return float(words[-1]) - float(words[-2])


def counted(lab: Lab, case: Case, keys: dict[str, int]) -> Counted:
    """Processes started and ioctls seen in one more run, under strace."""
    prepare(lab, case.units, keys)
    line, stdin = command(lab, case)
    trace = "/run/bench-trace"
    strace = f"strace -f -qq -e signal=none -e trace={STARTERS},ioctl -o {trace}"
    lab.ok(f"{strace} {line}", RUN_TIMEOUT_S, stdin)
    lines = lab.ok(f"cat {trace}; rm {trace}").splitlines()
    gone(lab, case, keys["n2"])
    return costs(lines)


def costs(lines: list[str]) -> Counted:
    """What strace has seen."""
    born = [text for text in lines if re.search(r"(fork|clone3?)\(|(fork|clone3?) resumed", text)]
    started = [t for t in born if re.search(r"= \d+$", t) and "CLONE_THREAD" not in t]
    return Counted(
        1 + len(started),
        sum("SG_IO" in text and "resumed" not in text for text in lines),
        sum("SG_SCSI_RESET" in text or "0x2284" in text for text in lines),
    )


def set_up(lab: Lab) -> dict[str, int]:
    """Install our agent and give both their memory of who this node is; our keys."""
    lab.ok(f"make -C {lab.repo} install PREFIX={PREFIX} AGENT_PYTHON={PYTHON}", RUN_TIMEOUT_S)
    key = f"{FENCE_SCSI_KEYS['n1']:x}"
    lab.ok(f"echo {key} >{FENCE_SCSI_FILE}")
    line, stdin = command(lab, Case("", len(lab.units), True, "auto"))
    stdin = stdin.replace("action=off", "action=on").replace("plug=n2", "plug=n1")
    lab.ok(line, RUN_TIMEOUT_S, stdin)
    (own,) = bears(lab).keys
    return {"n1": own, "n2": own + (1 << 32)}


def guest_part(units: int, repetitions: int) -> list[Goal]:
    """Boot, measure, print."""
    with Lab(units=units) as lab:
        ours = set_up(lab)
        keys = {True: ours, False: FENCE_SCSI_KEYS}
        every = cases(units)
        costs = {case: counted(lab, case, keys[case.ours]) for case in every}  # and warms up
        times: dict[Case, list[float]] = {case: [] for case in every}
        for turn in range(repetitions):
            for case in every if turn % 2 == 0 else reversed(every):
                times[case].append(timed(lab, case, keys[case.ours]))
    middle = {case: median(found) for case, found in times.items()}
    target, target_1, auto, auto_1, scsi = every
    rows = [
        (
            *(case.name, str(case.units), f"{middle[case]:.3f}"),
            f"{min(times[case]):.3f} - {max(times[case]):.3f}",
            f"{middle[scsi] / middle[case]:.1f}",
            *(str(costs[case].processes), str(costs[case].commands), str(costs[case].resets)),
        )
        for case in every
    ]
    print(f"off of one node in the guest, {repetitions} interleaved runs of each:")
    columns = "agent|LUs|median s|range s|fence_scsi / this|processes|SCSI commands|resets"
    show(columns.split("|"), rows)
    many = f"{units} LUs"
    return [
        Goal(f"fence_scsi / drain=target, {many}", middle[scsi] / middle[target], at_least=10),
        Goal(f"fence_scsi / drain=auto, {many}", middle[scsi] / middle[auto], at_least=10),
        Goal(f"drain=target, {many} / 1 LU", middle[target] / middle[target_1], at_most=1.5),
        Goal(f"drain=auto, {many} / 1 LU", middle[auto] / middle[auto_1], at_most=1.5),
        Goal("SCSI commands a LU, drain=target", costs[target].commands / units, at_most=4),
    ]


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few LUs, one run of each")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--host-only", action="store_true", help="no guest")
    options = parser.parse_args()
    goals = []
    if not options.host_only:
        reason = why_not()
        if reason is not None:
            print(f"the lab cannot run: {reason}", file=sys.stderr)
            return 1
        few = options.quick
        goals += guest_part(2 if few else UNITS, 1 if few else options.repetitions)
    goals += host_part(2 if options.quick else 25)
    show_goals(goals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
