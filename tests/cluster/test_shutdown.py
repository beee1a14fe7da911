"""The whole cluster is shut down in order: the disks stay protected, and it comes back."""

from __future__ import annotations

import time

from .blocks import Writer
from .cluster import NODES, Cluster
from .fencing import fencings
from .node import Node
from .pacemaker import dummy
from .stories import SETTLE_S, incarnations, starts

DATA = "data"
TRIED_S = 2.0


def can_write(node: Node, lun: int) -> bool:
    """Whether a node's writes to a LU reach it: all of them, or none and each of them fails."""
    writer = Writer(node, lun)
    time.sleep(TRIED_S)
    writer.stop()
    acknowledged, errnos = writer.acknowledged, writer.errnos()
    assert (min(acknowledged) > 0, errnos) == (True, set()) or (
        (max(acknowledged), errnos) == (0, {"EBADE"})
    ), (acknowledged, errnos)
    return not errnos


def test_everybody_down(cluster: Cluster) -> None:
    """Nobody else can write meanwhile, after a power cut of the storage neither; then all return.

    The nodes are switched off while the cluster is down: when they come back
    nobody remembers a key, and every node joins as a new life.
    """
    cluster.create("resources", dummy(DATA))
    cluster.wait_for(lambda: cluster.status().where(DATA), SETTLE_S, f"{DATA} to start")
    before = {name: incarnations(cluster, name) for name in NODES}
    units = [u.index for u in cluster.storage.units]
    bears = [cluster.storage.bears(lun) for lun in units]

    cluster.stop()
    assert [cluster.storage.bears(lun) for lun in units] == bears
    for node in cluster.nodes.values():
        node.kill()
    stranger = cluster.add_stranger()
    assert [can_write(stranger, lun) for lun in units] == [False, False]
    restored = cluster.storage.power_cycle()
    assert restored == len(NODES) * len(units)
    stranger.await_devices()
    assert [cluster.storage.bears(lun) for lun in units] == bears
    assert [can_write(stranger, lun) for lun in units] == [False, False]

    began = time.time()
    cluster.each(lambda node: node.boot(), cluster.nodes.values())
    cluster.start()
    cluster.await_joined(NODES)
    cluster.wait_for(lambda: cluster.status().where(DATA), SETTLE_S, f"{DATA} to start again")
    print(f"from power on to {DATA} started: {starts(cluster, DATA, began)[0] - began:.1f} s")
    for name in NODES:
        assert min(incarnations(cluster, name)) > max(before[name])
    assert [can_write(stranger, lun) for lun in units] == [False, False]
    assert can_write(cluster.node("n1"), units[0])


def test_a_stranger_can_write_where_no_barrier_is(cluster: Cluster) -> None:
    """Else the test above would prove nothing."""
    bare = cluster.add(2)
    stranger = cluster.add_stranger()
    assert can_write(stranger, bare.index)
    assert not can_write(stranger, 0)


def test_stop_and_start(cluster: Cluster) -> None:
    """Stopped in order, all keys stay; started again, nobody is fenced and nobody rejoins."""
    before = [cluster.storage.keys(u.index) for u in cluster.storage.units]
    began = time.time()
    cluster.stop()
    assert not any(node.running for node in cluster.nodes.values())
    assert [cluster.storage.keys(u.index) for u in cluster.storage.units] == before
    cluster.start()
    cluster.await_joined(NODES)
    logs = {node.name: node.log() for node in cluster.nodes.values()}
    assert [f.action for n in NODES for f in fencings(logs, n, began) if f.action != "on"] == []
    assert [cluster.storage.keys(u.index) for u in cluster.storage.units] == before
