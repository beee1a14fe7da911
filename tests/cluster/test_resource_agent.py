"""The resource agent in a cluster: what it keeps from an evicted node, repairs, and tells."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from .cluster import Cluster
from .conftest import Floor
from .fencing import when
from .pacemaker import prefers
from .stories import START, incarnations
from .two_fabrics import (
    AGENT_FILE,
    BARRIER,
    DATA,
    DEGRADED,
    DEVICES_FILE,
    EVICTED,
    MONITOR_S,
    NAME,
    SETTLE_S,
    list_devices,
    protect,
    stand,
)

FLOOR = NAME
STOP = ".*Requesting local execution of stop operation for ({}|{}) "
WATCHED_S = 20.0


@pytest.fixture
def cluster(floor: Floor) -> Cluster:
    """Three nodes with two paths each."""
    return stand(floor)


def failed(cluster: Cluster, node: str) -> Mapping[str, str]:
    """Return what the cluster says of the barrier's failed operation on a node."""
    for failure in cluster.status().failures:
        if failure.get("node") == node and failure.get("op_key", "").startswith(BARRIER):
            return failure
    return {}


def moves(cluster: Cluster, since: float) -> list[float]:
    """Return when any start or stop of the barrier or of what stands on it was begun."""
    found: list[float] = []
    for node in cluster.nodes.values():
        for name in (BARRIER, DATA):
            found += when(node.log(), START.format(name))
        found += when(node.log(), STOP.format(BARRIER, DATA))
    return [moment for moment in found if moment >= since]


def nexuses(cluster: Cluster, node: str) -> list[int]:
    """Return on how many nexuses each LU bears a node's key."""
    return [len(cluster.storage.keys(u.index).get(node, [])) for u in cluster.storage.units]


def test_ocf_tester(cluster: Cluster) -> None:
    """The resource agents' own test passes on a member, and fails where it must."""
    command = f"ocf-tester -n barrier -o devices_file={{}} {AGENT_FILE}"
    said = cluster.node("n1").sh(command.format(DEVICES_FILE), timeout=120)
    assert (said.code, "passed all tests" in said.output) == (0, True), said.output
    said = cluster.node("n1").sh(command.format("/etc/none"), timeout=120)
    assert said.code != 0 and "/etc/none: No such file" in said.output, said.output


def test_what_it_protects_starts_after_it(cluster: Cluster) -> None:
    """Everywhere the barrier runs first; stopping it leaves every registration."""
    began = time.time()
    protect(cluster)
    (where,) = cluster.status().where(DATA)
    log = cluster.node(where).log()
    first = min(t for t in when(log, START.format(BARRIER)) if t >= began)
    assert first < min(t for t in when(log, START.format(DATA)) if t >= began)
    assert nexuses(cluster, "n1") == [2, 2]
    before = [cluster.storage.bears(u.index) for u in cluster.storage.units]
    cluster.node("n1").ok(f"crm_resource -r {BARRIER} -m -p target-role -v Stopped")
    cluster.wait_for(lambda: not cluster.status().where(BARRIER), SETTLE_S, "it to stop")
    assert not cluster.status().where(DATA)
    assert [cluster.storage.bears(u.index) for u in cluster.storage.units] == before


def test_an_evicted_node_gets_nothing(cluster: Cluster) -> None:
    """Frozen, evicted and thawed without a reboot: a hard error there, and no resource."""
    protect(cluster)
    cluster.create("constraints", prefers(DATA, "n3"))
    cluster.wait_for(lambda: cluster.status().where(DATA) == ["n3"], SETTLE_S, f"{DATA} on n3")
    victim, before, began = cluster.node("n3"), incarnations(cluster, "n3"), time.time()
    victim.freeze()
    cluster.await_fenced("n3", began)
    cluster.wait_for(lambda: cluster.status().where(DATA) in (["n1"], ["n2"]), SETTLE_S, "move")
    victim.thaw()
    thawed = time.time()
    cluster.wait_for(lambda: "n3" in cluster.status("n1").online(), SETTLE_S, "n3 to be back")
    failure = cluster.wait_for(lambda: failed(cluster, "n3"), SETTLE_S, "the barrier to fail")
    assert failure["exitcode"] == str(EVICTED), failure
    assert failure["exitreason"].startswith("evicted: reboot this node"), failure
    time.sleep(WATCHED_S)
    status = cluster.status("n1")
    assert status.where(BARRIER) == ["n1", "n2"] and status.where(DATA) != ["n3"], status
    assert [t for t in when(victim.log(), START.format(DATA)) if t > thawed] == []

    victim.reboot()
    cluster.rejoin("n3")
    assert min(incarnations(cluster, "n3")) > max(before)
    cluster.wait_for(lambda: cluster.status().where(DATA) == ["n3"], SETTLE_S, f"{DATA} on n3")


def test_a_lost_path_moves_nothing(cluster: Cluster) -> None:
    """One of two paths dies and returns: told as degraded, and nothing stops or starts."""
    protect(cluster)
    cluster.create("constraints", prefers(DATA, "n2"))
    cluster.wait_for(lambda: cluster.status().where(DATA) == ["n2"], SETTLE_S, f"{DATA} on n2")
    cluster.await_idle()
    began, node = time.time(), cluster.node("n2")
    node.cut("san1")
    failure = cluster.wait_for(lambda: failed(cluster, "n2"), SETTLE_S, "the loss to be told")
    assert failure["exitcode"] == str(DEGRADED), failure
    time.sleep(2 * MONITOR_S)
    assert cluster.status().where(DATA) == ["n2"]
    assert cluster.node("n1").agent("monitor", devices="", devices_file=DEVICES_FILE).code == 0
    said = node.agent("monitor", devices="", devices_file=DEVICES_FILE)
    assert said.code == 0 and "a path is lost" in said.output, said
    node.mend("san1")
    node.await_devices()
    cluster.wait_for(lambda: nexuses(cluster, "n2") == [2, 2], SETTLE_S, "both paths' keys")
    assert moves(cluster, began) == []


def test_a_new_nexus_is_registered(cluster: Cluster) -> None:
    """A session that is made anew is another nexus: the next monitor registers it as well."""
    protect(cluster)
    cluster.await_idle()
    began, node, before = time.time(), cluster.node("n2"), incarnations(cluster, "n2")
    portal = cluster.storage.portals()[1]
    node.ok(f"iscsiadm -m node -p {portal} -u && iscsiadm -m node -p {portal} -l", timeout=60)
    node.await_devices()
    # The registration of the old nexus stays with the target.
    cluster.wait_for(lambda: nexuses(cluster, "n2") == [3, 3], SETTLE_S, "the new nexus' key")
    assert incarnations(cluster, "n2") == before
    path = node.dev(0, "san1")
    assert node.sh(f"dd if={path} of={path} bs=4096 count=1 oflag=direct").code == 0
    assert moves(cluster, began) == []


def test_a_lu_is_added(cluster: Cluster) -> None:
    """A LU that is added to devices_file is joined by every node; nothing starts or stops."""
    protect(cluster)
    cluster.await_idle()
    began = time.time()
    added = cluster.add(2)
    assert cluster.storage.keys(added.index) == {}
    list_devices(cluster, cluster.storage.units)
    wanted = {name: 2 for name in cluster.nodes}

    def joined() -> bool:
        keys = cluster.storage.keys(added.index)
        return {name: len(found) for name, found in keys.items()} == wanted

    cluster.wait_for(joined, SETTLE_S, "all to join the new LU")
    assert moves(cluster, began) == []
    assert cluster.status().failures == []
