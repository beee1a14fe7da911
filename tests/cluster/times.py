"""How long from a node's death to "fenced", and the agent's share, beside fence_scsi's.

    python3 -m tests.cluster.times [ROUNDS [UNITS]]

As root, in the work tree. Each round pulls the plug of one node. Guests are
slow: a process start takes ten times what it takes elsewhere, so the columns
are to be compared with each other, not with those of real machines.
"""

from __future__ import annotations

import statistics
import sys
import time

from .cluster import Cluster
from .conftest import why_not
from .fencing import Fencing

AGENTS = ("fence_prbarrier", "fence_scsi")
VICTIM = "n3"
ROUNDS = 3
UNITS = 2
FORMAT = "{:<16} {:>5} {:>13} {:>14} {:>17} {:>8}"
HEADING = ("agent", "LUs", "kill-fenced s", "kill-request s", "request-fenced s", "agent s")


def rounds(agent: str, count: int, units: int) -> list[tuple[float, Fencing]]:
    """Kill a node several times; return when, and how it was fenced."""
    found = []
    with Cluster(units=units) as cluster:
        cluster.configure_stonith(agent=agent)
        for _ in range(count):
            killed = time.time()
            cluster.node(VICTIM).kill()
            found.append((killed, cluster.await_fenced(VICTIM, killed)))
            cluster.restore()
    return found


def row(agent: str, units: int, found: list[tuple[float, Fencing]]) -> str:
    """Return one line of the table: medians."""
    columns = [
        [fenced.declared - killed for killed, fenced in found],
        [fenced.requested - killed for killed, fenced in found],
        [fenced.declared - fenced.requested for _, fenced in found],
        [fenced.agent_seconds for _, fenced in found],
    ]
    return FORMAT.format(agent, units, *(f"{statistics.median(c):.2f}" for c in columns))


def main() -> int:
    """Print the table."""
    reason = why_not()
    if reason is not None:
        print(f"the cluster cannot run: {reason}", file=sys.stderr)
        return 1
    count, units = ([int(word) for word in sys.argv[1:]] + [ROUNDS, UNITS][len(sys.argv) - 1 :])[:2]
    print(FORMAT.format(*HEADING), flush=True)
    for agent in AGENTS:
        print(row(agent, units, rounds(agent, count, units)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
