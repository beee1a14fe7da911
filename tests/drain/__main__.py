"""Every way to drain, measured: what is right, and how long it takes.

    python3 -m tests.drain [--repeat N] [--kills N] [--only PART] [--json FILE]

As root, in the work tree.  Medians of N runs; a cell is the seconds until the drain was proven,
'no' and the seconds where it was not, 'LATE' where something of the victim arrived afterwards,
which is a fault wherever the drain was said to be done.  `off` is the agent's; the other rows
are bare commands.  The agent also fences --kills killed victims with writes in flight.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, Callable

from ..bench.table import show
from ..cluster.conftest import why_not
from . import ground as grounds
from . import targets
from .deadlock import stuck_after
from .ground import DELAY_MS, LARGE, SMALL, SURVIVOR, VICTIM, Came, Case, Ground, strike
from .sequences import PREEMPT, PREEMPT_AND_ABORT, SEQUENCES, Strike

CASES = {
    "frozen, holds": Case("frozen", VICTIM, SMALL),
    "frozen": Case("frozen", SURVIVOR, SMALL),
    "frozen in the middle of sending": Case("frozen", VICTIM, LARGE),
    "dead, holds": Case("dead", VICTIM, SMALL),
    "alive, holds": Case("alive", VICTIM, SMALL),
}
FIRST = "frozen, holds"
# What the bare commands are measured in.
FEW = (FIRST, "frozen", "alive, holds")
PARTS = ("off", "commands", "settings", "deadlock", "kills")
OURS = "off, drain=auto"
# LIO is known not to drain there; that something comes late is what the row is to show.
HOLES = {("off, drain=target", "frozen"), ("PREEMPT AND ABORT", "frozen")}
AGENT = ("auto", "reset", "target")


class Bench:
    """A lab that is booted anew when a strike has broken it."""

    def __init__(self) -> None:
        self.ground: Ground | None = None
        self.change: Callable[[Ground], None] = targets.nothing
        self.wrong: list[str] = []
        self.rows: list[dict[str, str]] = []

    def get(self) -> Ground:
        """Return the lab, booted."""
        if self.ground is None:
            cluster = grounds.cluster()
            cluster.boot()
            self.ground = Ground(cluster)
            self.change(self.ground)
        return self.ground

    def end(self) -> None:
        """Give everything back."""
        if self.ground is not None:
            self.ground.cluster.end()
            self.ground = None

    def once(self, way: str, name: str) -> tuple[float, bool, Came | None, str]:
        """One strike: seconds, whether the drain was proven, what came, and remarks."""
        case = CASES[name]
        try:
            ground = self.get()
            if way.startswith("off"):
                drain = way.partition("=")[2]
                said, came = strike(ground, case, lambda: ground.fence(drain=drain))
                return came.seconds, said.code == 0, came, said.output.strip()[-200:]
            run = SEQUENCES[way]
            steps, came = strike(ground, case, lambda: _steps(ground, run))
            remarks = ", ".join(f"{s.name} {s.seconds:.1f} s {s.wrong}".strip() for s in steps)
            return came.seconds, not steps[-1].wrong, came, remarks
        except Exception as error:  # whatever it is, the rest of the table is wanted
            self.end()
            return 0.0, False, None, f"{type(error).__name__}: {error}"[:300]

    def cell(self, way: str, name: str, repeat: int) -> str:
        """Measure, say so, and judge."""
        seconds, proven, late = [], True, False
        for _ in range(repeat):
            took, good, came, remarks = self.once(way, name)
            load = os.getloadavg()[0]
            print(f"{way} | {name}: {took:.1f} s {came} [{remarks}] load {load:.1f}", flush=True)
            if came is None:
                return "target lost"
            seconds.append(took)
            proven &= good
            late |= came.late > 0 or came.held > 0
        if late and proven and (way, name) not in HOLES:
            self.wrong.append(f"{way} | {name}: something arrived after success")
        if way == OURS and not proven and self.change is targets.nothing:
            self.wrong.append(f"{way} | {name}: not done")
        text = f"{'' if proven else 'no, '}{median(seconds):.1f}{' LATE' if late else ''}"
        self.rows.append({"what": f"{way}; victim {name}", "figure": f"{text} s"})
        return text


def _steps(ground: Ground, run: Any) -> Any:
    under_way = Strike(ground)
    run(under_way)
    return under_way.steps


def table(bench: Bench, ways: Iterable[str], cases: Iterable[str], repeat: int) -> None:
    """Measure and print every way in every case."""
    names = list(cases)
    lines = [(way, *(bench.cell(way, name, repeat) for name in names)) for way in ways]
    print(f"\nseconds until the drain was proven, writes held up for {DELAY_MS / 1000:g} s:")
    show(["", *names], lines)


def settings(bench: Bench, repeat: int) -> None:
    """What settings of the target change."""
    lines = []
    for name, bench.change in targets.SETTINGS.items():
        bench.end()
        before = len(bench.rows)
        cells = [bench.cell(way, FIRST, repeat) for way in targets.WAYS]
        for row in bench.rows[before:]:
            row["what"] += f"; {name}"
        lines.append((name, *cells))
    bench.end()
    bench.change = targets.nothing
    print(f"\nsettings of the target, victim {FIRST}:")
    show(["", *targets.WAYS], lines)


def kills(bench: Bench, count: int) -> None:
    """The agent fences killed victims, again and again."""
    took = []
    for _ in range(count):
        seconds, good, _, remarks = bench.once(OURS, "dead, holds")
        print(f"killed: {seconds:.1f} s {remarks if not good else 'done'}", flush=True)
        if not good:
            bench.wrong.append(f"killed victim not fenced: {remarks}")
        took.append(seconds)
    bench.rows.append({"what": "killed victims fenced", "figure": f"{len(took)}"})
    bench.rows.append({"what": "killed victims, slowest", "figure": f"{max(took):.1f} s"})


def deadlock(bench: Bench) -> None:
    """Two resets and a removal at once."""
    for name, action in (("PREEMPT", PREEMPT), ("PREEMPT AND ABORT", PREEMPT_AND_ABORT)):
        stuck = stuck_after(action, DELAY_MS)
        what = f"resets by two nodes, then {name} by a third"
        figure = f"{stuck} threads of the target hang for ever" if stuck else "all done"
        print(f"{what}: {figure}", flush=True)
        bench.rows.append({"what": what, "figure": figure})
        if stuck and action == PREEMPT:
            bench.wrong.append(f"{what}: {figure}")


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.drain")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    parser.add_argument("--kills", type=int, default=50, metavar="N")
    parser.add_argument("--only", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"the lab cannot run: {reason}", file=sys.stderr)
        return 1
    bench, began = Bench(), time.monotonic()
    parts = (given.only,) if given.only else PARTS
    try:
        if "off" in parts:
            table(bench, (f"off, drain={drain}" for drain in AGENT), CASES, given.repeat)
        if "commands" in parts:
            table(bench, SEQUENCES, FEW, given.repeat)
        if "settings" in parts:
            settings(bench, given.repeat)
        if "deadlock" in parts:
            deadlock(bench)
        if "kills" in parts:
            kills(bench, given.kills)
    finally:
        bench.end()
    for line in bench.wrong:
        print(f"WRONG: {line}")
    print(f"{time.monotonic() - began:.0f} s")
    if given.json is not None:
        found = {"part": "drain", "ok": not bench.wrong, "rows": bench.rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
