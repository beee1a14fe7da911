"""Nodes: two of their own, each with a fencer that stands alone, or two that corosync joins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from ..agent.stage import Stage
from ..cluster.install import install
from .node import DEVICE, LISTENER, LISTENER_TEXT, ONCE, Node, Two, parameters
from .peers import join_by_corosync, start_fencers
from .premises import PEERS_PROGRAMS, PROGRAMS, require


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for the root of a node, with what `make install` puts there."""
    require()
    folder = tmp_path_factory.mktemp("root")
    # The user hacluster is to run the agent, whatever umask the tests run with.
    before = os.umask(0o022)
    try:
        install(folder)
        listener = folder / "usr" / "sbin" / LISTENER
        listener.write_text(LISTENER_TEXT)
        listener.chmod(0o755)
    finally:
        os.umask(before)
    return folder


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """lu0 and lu1, and nobody has joined."""
    return Stage(tmp_path, lus=2)


@pytest.fixture
def make_node(tmp_path: Path, installed: Path) -> Iterator[Callable[[str], Node]]:
    """Makes a node by name, with a fencer that stands alone and knows no device."""
    with contextlib.ExitStack() as stack:

        def make(name: str) -> Node:
            node = stack.enter_context(Node(name, tmp_path / name, installed))
            node.start_fencer()
            return node

        yield make


@pytest.fixture
def node(make_node: Callable[[str], Node]) -> Node:
    """n1, whose fencer knows no device."""
    return make_node("n1")


@pytest.fixture
def two(make_node: Callable[[str], Node], stage: Stage) -> Two:
    """n1 and n2, each with a fencer of its own, and both joined to the stage's LUs."""
    two = Two(make_node("n1"), make_node("n2"))
    for node in two:
        node.register(DEVICE, parameters(stage, node.name, **ONCE))
        node.succeed("--unfence", "localhost")
    return two


@pytest.fixture(scope="module")
def corosync(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[Two]:
    """n1 and n2, joined by a network and corosync."""
    require((*PROGRAMS, *PEERS_PROGRAMS))
    folder = tmp_path_factory.mktemp("peers")
    with Node("n1", folder / "n1", installed) as n1, Node("n2", folder / "n2", installed) as n2:
        join_by_corosync([n1, n2])
        yield Two(n1, n2)


@pytest.fixture
def peers(corosync: Two, stage: Stage) -> Iterator[Two]:
    """n1 and n2, whose fencers know each other and the device; nobody has joined.

    Nothing but the disks is configured: names and numbers are those of corosync.conf.
    """
    start_fencers(corosync)
    try:
        for node in corosync:
            node.register(DEVICE, {"devices": stage.devices})
        yield corosync
    finally:
        for node in corosync:
            node.stop_fencer()
            node.forget()
