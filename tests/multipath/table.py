"""fence_prbarrier, fence_mpath and fence_scsi on the same dm-multipath LUs, in one run.

    python3 -m tests.multipath.table [REPETITIONS]

As root, in the work tree. First what each action takes while all is well:
medians of interleaved runs, processes started and SCSI commands sent (one more
run, by strace). Then who is right when paths are dead: what each says, and what
the target bears afterwards. Guests are slow: columns are to be compared with
each other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from ..bench.fence_off import Counted
from ..bench.table import show
from ..cluster.conftest import why_not
from . import ground as grounds
from . import multipathd
from .agents import AGENTS, KEYS, MPATH, Contest, Said
from .ground import FABRICS, NAMES, SURVIVOR, Ground

REPETITIONS = 5
ACTIONS = ("off", "status", "monitor")
NEXUSES = 4  # two LUs by two fabrics
OFF = 2
LATE = 124
TOLD = "a path is lost"


class Dead(NamedTuple):
    """Which fabrics the caller has lost, and whether anybody has noticed yet."""

    name: str
    segments: tuple[str, ...]
    noticed: bool


DEAD = (
    *(Dead("one of two, just cut", (segment,), False) for segment in FABRICS),
    *(Dead("one of two, noticed", (segment,), True) for segment in FABRICS),
    Dead("both, just cut", FABRICS, False),
    Dead("both, noticed", FABRICS, True),
)


# -- all is well ----------------------------------------------------------------------------


def well(contest: Contest, repetitions: int) -> None:
    """Measure and print what each action takes."""
    cases = [(agent, action) for action in ACTIONS for agent in AGENTS]
    counted: dict[tuple[str, str], Counted] = {}
    times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for turn in range(repetitions + 1):
        for agent in AGENTS if turn % 2 == 0 else AGENTS[::-1]:
            contest.prepare(agent)
            for action in ("status", "monitor", "off"):
                if turn == 0:  # which warms up as well
                    counted[agent, action] = contest.count(agent, action)
                else:
                    said = contest.run(agent, action)
                    times[agent, action].append(said.seconds)
                    check(said, action)
            if contest.left(agent) != (0, NEXUSES):
                raise RuntimeError(f"{agent}: {contest.left(agent)}")
    rows = [
        (
            *(action, agent, f"{median(times[agent, action]):.2f}"),
            f"{min(times[agent, action]):.2f} - {max(times[agent, action]):.2f}",
            *(str(number) for number in counted[agent, action]),
        )
        for agent, action in sorted(cases, key=lambda case: ACTIONS.index(case[1]))
    ]
    print(f"all paths there, 2 LUs with 2 paths each, {repetitions} interleaved runs:")
    show(["action", "agent", "median s", "range s", "processes", "SCSI commands", "resets"], rows)


def check(said: Said, action: str) -> None:
    """While all is well every agent succeeds, and finds the victim on."""
    if said.code != 0:
        raise RuntimeError(f"{action}: {said}")


# -- paths are dead ---------------------------------------------------------------------------


def judge(action: str, dead: Dead, said: Said, left: tuple[int, int]) -> str:
    """Return whether what an agent has said of a victim that is on, or of itself, is true."""
    blind = len(dead.segments) == len(FABRICS)
    if said.code == LATE:
        return "no answer"
    if action == "status":
        return {0: "right", OFF: "WRONG: it is on"}.get(
            said.code, "right" if blind else "no answer"
        )
    if action == "monitor":
        if blind:
            return "right" if said.code else "WRONG: it can do nothing"
        told = TOLD in said.output
        return (
            "right, and tells"
            if told and not said.code
            else f"says {'an error' if said.code else 'nothing'}"
        )
    victims, own = left
    if own != NEXUSES:
        return f"WRONG: own key on {own} of {NEXUSES}"
    if said.code == 0:
        return "WRONG: not gone" if victims else "right"
    return "right" if blind else "failed" if victims else "failed, though gone"


def one(contest: Contest, agent: str, action: str, dead: Dead) -> tuple[Said, tuple[int, int]]:
    """Have an agent act while paths are dead; put the paths right again."""
    ground = contest.ground
    node = ground.node(SURVIVOR)
    contest.prepare(agent)
    for segment in dead.segments:
        node.cut(segment)
    if dead.noticed:
        multipathd.await_lost(node, len(dead.segments) * len(ground.luns))
    said = contest.run(agent, action)
    left = contest.left(agent)
    ground.mend()
    return said, left


def hurt(contest: Contest) -> None:
    """Run every action of every agent in every situation; print."""
    rows = []
    for dead in DEAD:
        for action in ACTIONS:
            for agent in AGENTS:
                said, left = one(contest, agent, action, dead)
                rows.append((dead, action, agent, said, left))
                print(f"# {dead} {action} {agent} {said} {left}", file=sys.stderr, flush=True)
    print(f"paths of the caller dead; the victim is on, its key on all {NEXUSES} nexuses:")
    show(
        ["paths", "action", "agent", "exit code", "s", "victim's keys left", ""],
        list(shown(rows)),
    )


Row = tuple[Dead, str, str, Said, tuple[int, int]]


def shown(rows: Sequence[Row]) -> Iterable[Sequence[str]]:
    """Yield the lines of the table; what differs by the fabric alone stands on one."""
    together: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        together.setdefault((row[0].name, row[1], row[2]), []).append(row)
    for (name, action, agent), alike in together.items():
        yield (
            *(name, action, agent),
            "/".join(str(row[3].code) for row in alike),
            "/".join(f"{row[3].seconds:.1f}" for row in alike),
            "/".join(str(row[4][0]) for row in alike),
            "/".join(dict.fromkeys(judge(row[1], row[0], row[3], row[4]) for row in alike)),
        )


def stand() -> Ground:
    """Boot the lab as fence_mpath needs it: with a key of its own in multipath.conf."""
    cluster = grounds.prepare()
    for name in NAMES:
        changed = multipathd.conf(reservation_key=f"{KEYS[MPATH][name]:#x}")
        cluster.node(name).files[multipathd.CONF] = changed
    cluster.__enter__()
    return Ground(cluster)


def main() -> int:
    """Print the tables."""
    reason = why_not()
    if reason is not None:
        print(f"the lab cannot run: {reason}", file=sys.stderr)
        return 1
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS
    ground = stand()
    try:
        ground.cluster.each(multipathd.start, ground.cluster.nodes.values())
        contest = Contest(ground)
        well(contest, repetitions)
        hurt(contest)
    finally:
        ground.cluster.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
