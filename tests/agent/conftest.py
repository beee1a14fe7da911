"""Stages, ready to play on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fence_prbarrier.barrier.memory import Standing
from fence_prbarrier.errors import BarrierError
from fence_prbarrier.lvm import shared_volumes
from fence_prbarrier.state import Store

from .stage import Stage

VGS_SECONDS = 30.0


def _copy(source: Stage, folder: Path) -> Stage:
    """LUs and memories are files: a copy of a stage is a stage of its own.

    A memory holds the names of the LUs' files, so it is made to hold the new ones.
    """
    shutil.copytree(source.folder, folder, dirs_exist_ok=True)
    copy = Stage(folder, lus=0)
    moves = (str(source.folder), str(folder))
    copy.units = [folder / path.name for path in source.units]
    for path in folder.glob("state-*/????-????"):
        tag, node = (int(number, 16) for number in path.name.split("-"))
        store = Store(str(path.parent), tag, node)
        memory = store.load()
        moved = {
            name: Standing(
                standing.count,
                frozenset(
                    (nexus.replace(*moves), device.replace(*moves))
                    for nexus, device in standing.paths
                ),
            )
            for name, standing in memory.joined.items()
        }
        store.save(memory.having_joined(moved))
    return copy


@pytest.fixture(scope="session", autouse=True)
def _no_shared_groups() -> None:
    """Actions that are given no devices would act on this machine's own."""
    try:
        found = shared_volumes(VGS_SECONDS, lambda _: None)
    except BarrierError:
        return  # to the agent that is an error too
    if found:
        pytest.exit(f"this machine has shared volume groups ({found[0]}, ...); run the lab's tests")


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"), lus=2).join_all()


@pytest.fixture
def joined(_template: Stage, tmp_path: Path) -> Stage:
    """n1, n2 and n3 have joined lu0 and lu1 (profile spec)."""
    return _copy(_template, tmp_path)


@pytest.fixture
def bare(tmp_path: Path) -> Stage:
    """lu0 and lu1 (profile spec), and nobody has joined."""
    return Stage(tmp_path, lus=2)
