"""A node hangs in `on`, on paths that swallow commands: others can be fenced nevertheless.

Where Pacemaker finds the CPU busy (load-threshold, by default 80 %) it carries
out one action at a time, begins again whenever fencing has failed, `on` first,
and gives up all of it when an `on` has failed ten times. On a path that is known
to be blocked that takes half a minute, and a node that has died meanwhile stays
unclean (seen). A guest has one CPU and nearly always is busy, so the threshold
is out of the way here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from .cluster import NODES, Cluster
from .fencing import when
from .stories import SETTLE_S, is_evicted

HANGING = NODES[2]
ON_TIMEOUT_S = 8
PACEMAKER_ON_TIMEOUT_S = 20
# Without a limit of its own `on` takes power_timeout, and Pacemaker waits for stonith-timeout.
HELD_UP_S = 75.0
ASKED = f".*Requesting that {HANGING} perform 'on' action targeting {HANGING} "
FAILED = rf".*Operation 'on' \[\d+\] targeting {HANGING} using \S+ returned 1 "
# No pings: only by commands that hang does the initiator find out that its session is dead.
DEAF = {"node.conn[0].timeo.noop_out_interval": 0, "node.conn[0].timeo.noop_out_timeout": 0}


@pytest.fixture
def limited(cluster: Cluster) -> Iterator[Cluster]:
    """The common cluster, its `on` limited; one node has sessions that notice their end late."""
    devices = ",".join(cluster.devices())
    limits = {"on_timeout": ON_TIMEOUT_S, "pcmk_on_timeout": f"{PACEMAKER_ON_TIMEOUT_S}s"}
    cluster.set_property("load-threshold", "10000%")
    cluster.replace_stonith({"devices": devices, **limits})
    node = cluster.node(HANGING)
    usual, node.iscsi = node.iscsi, {**node.iscsi, **DEAF}
    yield cluster
    node.iscsi = usual
    cluster.set_property("load-threshold", "80%")


def test_others_are_fenced(limited: Cluster) -> None:
    """`on` fails by its own limit, so Pacemaker gets on with what else there is to do."""
    hanging, struck = limited.node(HANGING), time.time()
    hanging.kill()
    limited.await_fenced(HANGING, struck)
    limited.wait_for(lambda: not limited.status().nodes[HANGING].unclean, SETTLE_S, "clean")
    hanging.boot()
    hanging.cut("san0")
    seen, began = len(hanging.log()), time.time()
    hanging.start()

    # Whoever coordinates waits for the answer; it is to survive, and to fence.
    coordinator = limited.status().coordinator
    (victim,) = {*NODES} - {HANGING, coordinator}
    waiting = limited.node(coordinator)

    def asked() -> list[float]:
        return [t for t in when(waiting.log(), ASKED) if t > began]

    limited.wait_for(asked, SETTLE_S, f"{HANGING} to be told to join")
    assert {path.state for path in hanging.paths()} == {"running"}, "the commands would not hang"
    struck = time.time()
    limited.node(victim).kill()
    fencing = limited.await_fenced(victim, struck, HELD_UP_S)
    assert is_evicted(limited, victim) and is_evicted(limited, HANGING)
    failed = limited.wait_for(
        lambda: [t for t in when(hanging.log(), FAILED) if t > began], SETTLE_S, "on to fail"
    )
    times = (fencing.declared - struck, asked()[0] - struck, failed[0] - struck)
    print(
        "{} fenced by {} {:.1f} s after its death; on of {} asked for {:+.1f} s, failed"
        " {:+.1f} s".format(victim, fencing.by, times[0], HANGING, *times[1:])
    )
    said = re.findall(r"stderr: \[ (on failed: .*) \]", hanging.log()[seen:])
    assert said and any("timed out" in line or "no answer" in line for line in said), said
