"""Nodes that corosync joins over a network of their own, and what their fencers remember."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from .node import FENCER, TOOL_TIMEOUT_S, Node, wait_for
from .premises import refuse

CLUSTER_NAME = "fenced"
# Ordinary priority, and the place in the machine's cgroups that the tests have.
CONF = """totem {{
    version: 2
    cluster_name: {name}
    transport: udpu
    crypto_cipher: none
    crypto_hash: none
}}
nodelist {{
{nodes}
}}
quorum {{
    provider: corosync_votequorum
{quorum}
}}
system {{
    sched_rr: no
    move_to_root_cgroup: no
}}
logging {{
    to_syslog: no
    to_stderr: yes
}}
"""
# What the fencer logs when another one's can be talked to.
PEER = "Node {name} state is now member"


class Event(NamedTuple):
    """One entry of the fencing history."""

    action: str
    target: str
    delegate: str
    status: str


def _address(number: int) -> str:
    return f"192.0.2.{number}"


def corosync_conf(cluster: str, members: Mapping[str, tuple[int, str]], quorum: str) -> str:
    """The file of a cluster; members: name -> (nodeid, address)."""
    entries = [
        f"    node {{\n        name: {name}\n        nodeid: {number}\n"
        f"        ring0_addr: {address}\n    }}"
        for name, (number, address) in members.items()
    ]
    return CONF.format(name=cluster, nodes="\n".join(entries), quorum=quorum)


def _conf(nodes: Sequence[Node]) -> str:
    members = {node.name: (number, _address(number)) for number, node in enumerate(nodes, 1)}
    return corosync_conf(CLUSTER_NAME, members, "    two_node: 1")


def join_by_corosync(nodes: Sequence[Node]) -> None:
    """Lay a cable between two nodes, start corosync and wait for one membership."""
    one, other = nodes
    link = f"ip link add eth0 type veth peer name eth0 netns {other.pid}"
    done = subprocess.run(
        ["nsenter", f"--target={one.pid}", "--net", "--", *link.split()],
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        refuse(f"no veth: {done.stderr.strip()}")
    for number, node in enumerate(nodes, 1):
        lines = f"link set lo up\naddr add {_address(number)}/24 dev eth0\nlink set eth0 up\n"
        result = node.run("ip", "-batch", "-", stdin=lines)
        assert result.code == 0, result
        node.path("/etc/corosync/corosync.conf").write_text(_conf(nodes))
        node.start("corosync", "corosync", "-f")
    for node in nodes:
        wait_for(partial(_sees_all, node, nodes), f"{node.name}'s membership")


def _sees_all(node: Node, nodes: Sequence[Node]) -> bool:
    node.require_running("corosync")
    members = node.run("corosync-quorumtool", "-l").out.split()
    return all(each.name in members for each in nodes)


def start_fencers(nodes: Sequence[Node]) -> None:
    """Start the fencers, and wait until they know each other."""
    for node in nodes:
        node.start_fencer("--stand-alone-w-cpg")
    for node in nodes:
        wait_for(partial(_knows_all, node, nodes), f"{node.name}'s {FENCER} to see all")


def _knows_all(node: Node, nodes: Sequence[Node]) -> bool:
    log = node.log()
    return all(PEER.format(name=each.name) in log for each in nodes)


def history(node: Node, target: str) -> list[Event]:
    """What a node's fencer remembers of a target, the latest first."""
    result = node.admin("--history", target, "--verbose", "--output-as=xml")
    assert result.code == 0, result
    return [
        Event(*(event.get(name, "") for name in Event._fields))
        for event in ET.fromstring(result.out).iter("fence_event")
    ]
