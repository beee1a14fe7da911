"""The cluster starts: nothing runs before the barrier stands, and nobody waits for the absent."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from . import pacemaker
from .cluster import NODES, Cluster
from .conftest import FIRST, Floor
from .fencing import when
from .storage import WERO
from .stories import SETTLE_S, await_where, incarnations

PRESENT = NODES[:2]
ABSENT = NODES[2]
QUORUM = ".*Quorum acquired"
RETURNED = r".*Operation '(?:off|reboot)' \[\d+\] targeting {} using \S+ returned {} "
RULE_3 = ".*off failed: this node has not joined in this boot, so it may evict nobody"
UNFENCED = r".*Operation 'on' \[\d+\] targeting {} using \S+ returned 0"


def moments(cluster: Cluster, pattern: str) -> list[float]:
    """Return when a line that matches was logged by any node, in order."""
    return sorted(t for node in cluster.nodes.values() for t in when(node.log(), pattern))


def test_all_join_before_anything_starts(cluster: Cluster) -> None:
    """Keys of all three on every LU, one reservation of type 5; the first start came later."""
    assert cluster.status().online() == list(NODES)
    for u in cluster.storage.units:
        bears = cluster.storage.bears(u.index)
        assert {node: len(keys) for node, keys in bears.keys.items()} == dict.fromkeys(NODES, 1)
        assert (bears.type, bears.holder in NODES) == (WERO, True)
    began = f".*Requesting local execution of start operation for {FIRST} "
    starts = {}
    for node in cluster.nodes.values():
        starts[node.name] = list(when(node.log(), began))
        first = next(when(node.log(), UNFENCED.format(node.name)))
        assert all(first < start for start in starts[node.name])
    assert sum(map(len, starts.values())) >= 1, starts


def configure(cluster: Cluster) -> None:
    """Give all nodes a configuration to begin with, as after a power failure of everything."""
    devices = {"devices": ",".join(cluster.devices())}
    for node in cluster.nodes.values():
        node.properties["stonith-timeout"] = f"{pacemaker.STONITH_TIMEOUT_S}s"
        node.resources = pacemaker.stonith(NODES, devices) + pacemaker.dummy(FIRST)


@pytest.fixture(scope="module")
def incomplete(floor: Floor) -> Iterator[Cluster]:
    """Three nodes that are configured and have never been started; one is switched off."""
    made = Cluster(started=False)
    configure(made)
    yield floor.put("incomplete", made, lambda cluster: cluster.node(ABSENT).kill())
    floor.clear()


def test_one_never_shows_up(incomplete: Cluster) -> None:
    """It is fenced, although nobody has ever joined when Pacemaker first asks for that.

    Who is not registered evicts nobody, so a first `off` that comes before any
    `on` fails. Pacemaker then tries again by itself.
    """
    cluster, began = incomplete, time.time()
    cluster.start(PRESENT)
    cluster.await_fenced(ABSENT, began)
    cluster.await_joined(PRESENT)
    await_where(cluster, FIRST, list(PRESENT))
    settled = time.time()

    quorum = moments(cluster, QUORUM)[0]
    joined = [moments(cluster, UNFENCED.format(name))[0] for name in PRESENT]
    failed = moments(cluster, RETURNED.format(ABSENT, "[1-9]"))
    assert not failed or moments(cluster, RULE_3), "an off failed, and not for being too early"
    done = moments(cluster, RETURNED.format(ABSENT, "0"))
    print(
        f"after quorum: on {' and '.join(f'{t - quorum:.1f} s' for t in joined)};"
        f" off of {ABSENT} failed {[f'{t - quorum:.1f} s' for t in failed]},"
        f" done {done[0] - quorum:.1f} s; settled {settled - quorum:.1f} s"
    )
    status = cluster.status()
    assert status.online() == list(PRESENT) and status.quorum
    assert not status.nodes[ABSENT].online and not status.nodes[ABSENT].unclean
    assert [event.status for event in status.fencing if event.target == ABSENT].count("success")
    for u in cluster.storage.units:
        assert sorted(cluster.storage.keys(u.index)) == list(PRESENT)
    started = moments(cluster, f".*Requesting local execution of start operation for {FIRST} ")
    assert started[0] > done[0], "a resource was started before the absent node was out"


def test_it_shows_up_after_all(incomplete: Cluster) -> None:
    """It joins as everybody does."""
    incomplete.node(ABSENT).boot()
    incomplete.rejoin(ABSENT)
    incomplete.wait_for(lambda: incomplete.joined(NODES), SETTLE_S, "all to have joined")
    assert len(incarnations(incomplete, ABSENT)) == 1
    assert incomplete.status().online() == list(NODES)
