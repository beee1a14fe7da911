"""A fence device that cannot work does not start, and one line says what to do.

Pacemaker shows that it has failed; the reason is in pacemaker.log, where it
keeps what an agent writes to stderr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from . import pacemaker
from .cluster import NODES, Cluster
from .stories import SETTLE_S

NAME = "bad"
NODE = NODES[2]
NOWHERE = "/dev/disk/by-id/wwn-0x0000000000000000"
CASES = {
    "devices": (
        {"devices": NOWHERE},
        f"device {NOWHERE}: is not there; expected a block, sg or bsg node of a whole SCSI disk",
    ),
    "nodes": (
        {"nodes": "n1:1,n2:2"},
        f"this node, '{NODE}', has no number: expected one of n1 .*; add it to nodes",
    ),
    "cluster_name": (
        {"cluster_name": "other"},
        r"the LU is reserved by cluster tag 0x\w{4}, key \S+, .* not by this cluster \(tag 0x",
    ),
}
BLOCKED = r"device \S+: its path is (?:blocked|transport-offline), .*; bring the path back"


def refused(cluster: Cluster, parameters: Mapping[str, str], line: str) -> None:
    """Start, monitor and validate-all fail on the node; each says the line, and says only one."""
    node = cluster.node(NODE)
    given: dict[str, str] = {"devices": ",".join(cluster.devices()), **parameters}
    seen = len(node.log())
    # For nobody: else Pacemaker would unfence by it too, where somebody needs that just now.
    device = pacemaker.stonith(["nobody"], given, NAME, meta={})
    cluster.create_on(NODE, NAME, device)
    failed = rf"\* {NAME} start on {NODE} returned 'error'"
    cluster.wait_for(lambda: re.search(failed, cluster.crm_mon("-1")), SETTLE_S, failed)
    assert re.search(failed, node.ok("pcs status"))
    assert cluster.status().where(NAME) == []
    said = re.findall(r"fence_prbarrier\[\d+\] stderr: \[ (.*) \]", node.log()[seen:])
    assert said and re.match(f"monitor failed: .*{line}", said[-1]), said

    by_hand = node.start_agent("monitor", **given).wait()
    assert by_hand.code == 1 and len(by_hand.output.splitlines()) == 1, by_hand
    assert re.match(f"monitor failed: .*{line}", by_hand.output), by_hand
    options = " ".join(f"--option {name}={value}" for name, value in given.items())
    validated = node.sh(f"stonith_admin --validate --agent fence_prbarrier {options}")
    assert validated.code == 1
    assert re.search(f"^validate-all failed: .*{line}", validated.output, re.MULTILINE), validated


@pytest.mark.parametrize("name", CASES)
def test_wrong(cluster: Cluster, name: str) -> None:
    """A parameter that is wrong; the fence device that is right goes on."""
    before = [cluster.storage.bears(u.index) for u in cluster.storage.units]
    refused(cluster, *CASES[name])
    assert cluster.status().where("fence") != []
    assert [cluster.storage.bears(u.index) for u in cluster.storage.units] == before


def test_storage_is_down(cluster: Cluster) -> None:
    """For one node: its paths are established, and lead nowhere any more."""
    node = cluster.node(NODE)
    node.cut("san0")
    cluster.wait_for(
        lambda: {path.state for path in node.paths()} == {"blocked"}, SETTLE_S, "blocked paths"
    )
    refused(cluster, {}, BLOCKED)
