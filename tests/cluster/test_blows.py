"""A node is killed, frozen, cut off: it is evicted, and nothing it sent arrives any more."""

from __future__ import annotations

import time

import pytest

from ..lab.guest import LabError
from .cluster import NODES, Cluster
from .node import Node
from .stories import MOVER, SETTLE_S, WATCHED_S, Scene, await_where, incarnations, is_evicted

FENCE_BY_HAND_S = 100


def assert_powerless(cluster: Cluster, scene: Scene) -> None:
    """An evicted node that lives: it cannot write, nor fence anybody, nor come back as it is."""
    victim, target = scene.victim, scene.others[0]
    keys = [cluster.storage.keys(u.index) for u in cluster.storage.units]
    for writer in scene.writers[victim.name]:
        cluster.wait_for(writer.errnos, SETTLE_S, "the victim's writes to fail")
    by_hand = victim.agent("off", target)
    assert by_hand.code == 1 and "it has been evicted" in by_hand.output, by_hand
    refused = victim.agent("on", victim.name)
    assert refused.code == 1 and "reboot" in refused.output, refused
    its_own_pacemaker_fences_nobody(victim, target)
    time.sleep(WATCHED_S)
    for writer in scene.writers[victim.name]:
        assert writer.errnos() == {"EBADE"}
        for thread, last in enumerate(writer.acknowledged):
            failed = [e["sequence"] for e in writer.of("error") if e["thread"] == thread]
            assert failed and min(failed) > last, "a write succeeded after one had failed"
    assert [cluster.storage.keys(u.index) for u in cluster.storage.units] == keys


def its_own_pacemaker_fences_nobody(victim: Node, target: str) -> None:
    """The evicted node's own Pacemaker, alone and without quorum, is asked to fence."""
    seen = len(victim.log())
    asked = victim.sh(
        f"stonith_admin --fence {target} --timeout {FENCE_BY_HAND_S}", FENCE_BY_HAND_S + 20
    )
    assert asked.code != 0, asked
    assert "it has been evicted and may evict nobody" in victim.log()[seen:]


def come_back(cluster: Cluster, scene: Scene) -> None:
    """Rejoin after a boot: with a larger incarnation, and the resource comes back as well."""
    cluster.rejoin(scene.victim.name)
    assert min(incarnations(cluster, scene.victim.name)) > max(scene.before)
    await_where(cluster, MOVER, [scene.victim.name])


def test_killed(cluster: Cluster) -> None:
    """The coordinator's plug is pulled; it boots, and is a member again."""
    scene = Scene(cluster, cluster.status().coordinator)
    scene.victim.kill()
    with pytest.raises(LabError, match="switched off"):
        scene.victim.sh("true")
    scene.await_eviction()
    scene.end()
    assert all(writer.first_error() is None for writer in scene.writers[scene.victim.name])
    scene.victim.boot()
    come_back(cluster, scene)


def test_frozen(cluster: Cluster) -> None:
    """The holder of the reservation stands still, and goes on when it is long evicted.

    It is cut off the cluster's network before it goes on, so that nobody tells
    its Pacemaker what has happened meanwhile.
    """
    scene = Scene(cluster, cluster.storage.bears().holder)
    scene.victim.freeze()
    fencing = scene.await_eviction()
    scene.victim.cut()
    scene.victim.thaw()
    assert_powerless(cluster, scene)
    scene.assert_silence(fencing.declared)
    assert scene.victim.boot_id() == scene.boot_id
    scene.end()
    scene.victim.mend()
    scene.victim.reboot()
    assert scene.victim.boot_id() != scene.boot_id
    come_back(cluster, scene)


def test_cut_off(cluster: Cluster) -> None:
    """A node that only the disks can hear is fenced at the disks; mended, it is still evicted."""
    scene = Scene(cluster, NODES[2])
    scene.victim.cut()
    fencing = scene.await_eviction()
    assert not cluster.status(scene.victim.name).quorum and cluster.status(scene.others[0]).quorum
    assert {path.state for path in scene.victim.paths()} == {"running"}
    assert_powerless(cluster, scene)
    scene.victim.mend()
    assert scene.victim.agent("on", scene.victim.name).code == 1
    scene.assert_silence(fencing.declared)
    scene.end()
    assert is_evicted(cluster, scene.victim.name)
