"""The documented commands on three kernels with a SAN.

A cluster of its own: nothing may be configured before the pages' commands are run.
"""

from __future__ import annotations

import time

import pytest

from ..docs import in_cluster, pages
from .cluster import Cluster
from .conftest import Floor

FLOOR = "documented"
MOVE_TIMEOUT_S = 90.0


@pytest.fixture
def bare(floor: Floor) -> Cluster:
    """Three nodes, online, and nothing configured but what a test before has left."""
    if floor.name != FLOOR:
        floor.put(FLOOR, Cluster(name="docs"), lambda cluster: None)
    if floor.cluster is None:
        raise RuntimeError("the floor is empty")
    return floor.cluster


def test_validate(bare: Cluster) -> None:
    """validate-all on each node, before anything is configured."""
    for name in bare.nodes:
        done = in_cluster.run(bare, pages.step("sh", "validate"), via=name)
        assert done == (0, pages.prints("sh", "validate"))


@pytest.mark.parametrize("tool", pages.TOOLS)
def test_configured(bare: Cluster, tool: str) -> None:
    """By each tool: all nodes join, the clone starts on each, and data after it on one."""
    in_cluster.empty(bare)
    bare.await_idle()
    began = time.time()
    in_cluster.configure(bare, tool)
    in_cluster.check_order(bare, began)
    in_cluster.check_list(bare)


def test_fenced(bare: Cluster) -> None:
    """With the page's configuration a node whose plug is pulled is fenced, and data goes on."""
    (host,) = bare.status().where("data")
    began = time.time()
    bare.node(host).kill()
    fencing = bare.await_fenced(host, after=began)
    bare.wait_for(
        lambda: bare.status().where("data") not in ([], [host]),
        MOVE_TIMEOUT_S,
        "data to start elsewhere",
    )
    print(f"fenced after {fencing.declared - began:.1f} s, the agent {fencing.agent_seconds:.1f} s")
