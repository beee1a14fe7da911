"""A LU is added through devices_file while all runs: nothing stops, nothing is restarted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from .cluster import NODES, Cluster
from .fencing import when
from .stories import INCARNATION, WATCHED_S, incarnations, is_evicted, run_on

LIST = "/etc/prbarrier.devices"
MONITOR_S = 5
STEADY = "steady"
ACTED = ".*Requesting (?:local execution of (?:start|stop|promote|demote)|peer fencing)"


def write_list(cluster: Cluster) -> None:
    """Name all LUs in a file on every node, now and at every boot."""
    for node in cluster.nodes.values():
        node.files[LIST] = "\n".join(["# the shared disks", *cluster.devices()])
        node.ok(f"cat >{LIST}.new && mv {LIST}.new {LIST}", stdin=f"{node.files[LIST]}\n")


@pytest.fixture
def listed(cluster: Cluster) -> Iterator[Cluster]:
    """The common cluster, with a fence device that reads its devices from a file."""
    write_list(cluster)
    cluster.replace_stonith({"devices_file": LIST}, MONITOR_S)
    run_on(cluster, NODES[1], STEADY)
    cluster.await_idle()
    yield cluster
    for node in cluster.nodes.values():
        del node.files[LIST]


def operations(cluster: Cluster) -> set[tuple[str, ...]]:
    """Return every operation that Pacemaker's history holds, with the number of its call."""
    status = ElementTree.fromstring(cluster.node(NODES[0]).ok("cibadmin --query --scope status"))
    return {
        (node.get("uname", ""), operation.get("operation_key", ""), operation.get("call-id", ""))
        for node in status.findall("node_state")
        for operation in node.iter("lrm_rsc_op")
    }


def test_nothing_stops(listed: Cluster) -> None:
    """`on` registers what is new, under the key that the node has; the new LU is fenced as well."""
    began, before = time.time(), operations(listed)
    assert {key for node, key, _ in before if node == NODES[1]} >= {f"{STEADY}_start_0"}
    lives = {name: incarnations(listed, name) for name in NODES}
    added = listed.add(2)
    write_list(listed)
    time.sleep(
        MONITOR_S + WATCHED_S
    )  # the fence device's monitor meets a LU that nobody has joined
    for name in NODES:
        node = listed.node(name)
        monitored = node.agent("monitor", devices="", devices_file=LIST)
        assert monitored.code == 0 and "not joined in this boot; run on" in monitored.output
        joined = node.agent("on", name, devices="", devices_file=LIST)
        assert (joined.code, joined.output) == (0, "Success: Powered ON\n"), joined
    assert listed.joined(NODES)
    for name in NODES:
        key = listed.storage.bears(added.index).key(name)
        assert key is not None and {key & INCARNATION} == lives[name] == incarnations(listed, name)
    time.sleep(MONITOR_S + WATCHED_S)
    assert operations(listed) == before
    assert listed.status().where(STEADY) == [NODES[1]]
    acts = [t for node in listed.nodes.values() for t in when(node.log(), ACTED)]
    assert acts and max(acts) < began

    struck = time.time()
    listed.node(NODES[2]).kill()
    listed.await_fenced(NODES[2], struck)
    assert is_evicted(listed, NODES[2])
    assert listed.joined(NODES[:2])
