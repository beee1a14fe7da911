"""Nodes in namespaces, in which the agents are installed, and Pacemaker runs where it is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..cluster.install import install
from ..fenced.node import Node
from . import machine


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for the root of a node, with what is installed there."""
    machine.require_tools()
    folder = tmp_path_factory.mktemp("root")
    before = os.umask(0o022)  # Pacemaker looks at agents as the user hacluster too
    try:
        install(folder)
    finally:
        os.umask(before)
    return folder


@pytest.fixture
def node(tmp_path: Path, root: Path) -> Iterator[Node]:
    """n1, with corosync.conf and no cluster."""
    with Node("n1", tmp_path / "n1", root) as node:
        machine.prepare(node)
        shutil.copytree(root / "etc/watchdog.d", node.path(machine.WATCHDOG))
        yield node


@pytest.fixture
def one(node: Node) -> Node:
    """n1, alone in a cluster with n2 that has quorum nevertheless."""
    machine.start_cluster(node)
    return node
