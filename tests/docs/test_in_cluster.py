"""The documented commands on three kernels with a SAN; see conftest.py for who runs them.

A cluster of its own: nothing may be configured before the page's commands are run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ..cluster.cluster import Cluster
from ..cluster.conftest import require
from . import in_cluster, pages


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, online, and nothing configured."""
    require()
    logs = tmp_path_factory.mktemp("cluster-logs")
    with Cluster(name="docs", keep_logs=logs) as cluster:
        yield cluster


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
        lambda: bare.status().where("data") not in ([], [host]), 60, "data to start elsewhere"
    )
    print(f"fenced after {fencing.declared - began:.1f} s, the agent {fencing.agent_seconds:.1f} s")
