"""The documented commands on a cluster of the lab: real nodes, real LUs, whoever started them."""

from __future__ import annotations

import shlex

from ..cluster.cluster import Cluster
from ..cluster.fencing import when
from ..lab.guest import Result
from . import pages

WORK = "/run/docs"
STEPS = ("fence", "barrier", "data")
# Starting a process takes ten times as long in a guest; pcs and crm are large ones.
COMMANDS_TIMEOUT_S = 240.0
START_TIMEOUT_S = 120.0
EMPTY = ("constraints", "resources")


def on_these_disks(cluster: Cluster, text: str) -> str:
    """A text of the pages with the cluster's own disks in place of the examples'."""
    for documented, real in zip(pages.DISKS, cluster.devices()):
        text = text.replace(documented, real)
    return text


def run(cluster: Cluster, script: str, via: str = "n1") -> Result:
    """Run commands of the pages on a node, their files beside them."""
    node = cluster.node(via)
    files = ""
    for name, text in pages.files().items():
        path = shlex.quote(name if name.startswith("/") else f"{WORK}/{name}")
        if name.endswith((".xml", ".devices")):
            files += f"cat >{path} <<'END'\n{on_these_disks(cluster, text)}END\n"
    before = f"set -e\nmkdir -p {WORK}\n{files}\ncd {WORK}\nexport HOME=/root\n"
    return node.sh(before + on_these_disks(cluster, script), COMMANDS_TIMEOUT_S)


def empty(cluster: Cluster) -> None:
    """Remove every resource and constraint, the fence device too."""
    speaker = cluster.node("n1")
    for section in EMPTY:
        speaker.ok(f"cibadmin --replace --scope {section} --xml-text '<{section}/>'")
    cluster.wait_for(lambda: not cluster.status().resources, START_TIMEOUT_S, "nothing to run")


def configure(cluster: Cluster, tool: str) -> None:
    """Configure stonith resource, clone, and what depends on it, by one tool; wait for them."""
    for name in STEPS:
        done = run(cluster, pages.step(tool, name))
        assert done.code == 0, (tool, name, done)
    members = list(cluster.nodes)
    cluster.await_joined(members, START_TIMEOUT_S)
    cluster.wait_for(
        lambda: cluster.status().where("barrier") == members and cluster.status().where("data"),
        START_TIMEOUT_S,
        "the clone on all nodes, and data on one",
    )
    assert cluster.status().failures == []


def check_order(cluster: Cluster, began: float) -> None:
    """Since a moment, on each node: the barrier, then data; and never before its unfencing.

    A device that is configured anew as it was asks no node to unfence again.
    """
    (host,) = cluster.status().where("data")
    for node in cluster.nodes.values():
        log, name = node.log(), node.name
        joined = f".*Operation 'on' \\[.* targeting {name} .*returned 0"
        started = ".*Requesting local execution of start operation for {} on " + name
        moments = [min(when(log, joined))]
        for resource in ("barrier", "data") if name == host else ("barrier",):
            moments.append(min(t for t in when(log, started.format(resource)) if t > began))
        assert moments == sorted(moments), (name, moments)


def check_list(cluster: Cluster) -> None:
    """`list-status` prints what the page prints."""
    done = run(cluster, pages.step("sh", "list"))
    assert done == (0, pages.prints("sh", "list"))
