"""Sets of disks that nobody named one by one: what is missing, or leads elsewhere, is noticed.

The action runs in this process; vgs and what names lead to are the test's.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fence_prbarrier import discovery, lvm
from fence_prbarrier.agent import actions
from fence_prbarrier.agent.parameters import Options
from fence_prbarrier.agent.task import Task
from fence_prbarrier.cluster import build_cluster
from fence_prbarrier.devices import Path as DevicePath
from fence_prbarrier.devices import Place, open_place
from fence_prbarrier.errors import DeviceError
from fence_prbarrier.simulator import store
from fence_prbarrier.supervisor import Answer

from .stage import Stage, assert_refused

SDB, SDC, SDD = "/dev/sdb", "/dev/sdc", "/dev/sdd"


class Groups:
    """One host: the disks that vgs shows, and which simulated LU each name leads to."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.shown: list[str] = []
        self.where: dict[str, str] = {}
        self.warnings: list[str] = []
        patch.setattr(lvm, "shared_volumes", lambda seconds, started: list(self.shown))
        patch.setattr(lvm, "find_program", lambda: "vgs")
        patch.setattr(discovery, "places_of", self.places)
        patch.setattr(discovery, "open_place", self.open)

    def lu(self, name: str) -> str:
        return f"mock:{self.folder}/{name}?profile=spec"

    def places(self, name: str) -> list[Place]:
        if name not in self.where:
            error = DeviceError("is not there")
            error.where = f"device {name}"
            raise error
        return [Place(name, self.where[name])]

    def open(self, place: Place, local_name: str) -> DevicePath:
        path = open_place(place, local_name)
        path.listed = place.listed
        return path

    def report(self, kind: str, text: str) -> None:
        if kind == "warning":
            self.warnings.append(text)

    def do(self, action: str, plug: str, node: str = "n1") -> Answer:
        values = {"cluster_name": "c", "nodes": "n1:1,n2:2"}
        values["state_dir"] = str(self.folder / f"state-{node}")
        options = Options({"action": action, **values})
        cluster = build_cluster(options["cluster_name"], "", options["nodes"])
        task = Task(action, options, cluster, node, plug, time.monotonic() + 20)
        return actions.perform(task, self)  # type: ignore[arg-type]

    def keys(self, name: str) -> int:
        return len(store.read(str(self.folder / name)).reservations.registrations)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    """n1 and n2 have joined A and B, which vgs shows as sdb and sdc."""
    made = Groups(tmp_path, monkeypatch)
    made.shown = [SDB, SDC]
    made.where = {SDB: made.lu("A"), SDC: made.lu("B")}
    for node in ("n1", "n2"):
        assert made.do("on", node, node).code == 0
    return made


@pytest.mark.parametrize("action", ["on", "monitor"])
def test_a_name_that_vgs_no_longer_shows_and_that_is_another_disk_now(
    groups: Groups, action: str
) -> None:
    """A is logged in anew as sdd, and sdb is somebody's: nothing is reserved on it."""
    groups.shown = [SDD, SDC]
    groups.where = {SDD: groups.lu("A"), SDB: groups.lu("X"), SDC: groups.lu("B")}
    answer = groups.do(action, "n1")
    assert answer.code == 1 and f"device {SDB}: was in a shared volume group" in answer.err[0]
    assert groups.keys("X") == 0
    # The way out that it names.
    (groups.folder / "state-n1" / "volume-groups").unlink()
    assert groups.do(action, "n1").code == 0
    assert groups.do("off", "n2").out == ["Success: Powered OFF"]
    assert groups.keys("X") == 0 and groups.keys("A") == groups.keys("B") == 1


@pytest.mark.parametrize(("action", "plug"), [("off", "n2"), ("status", "n2"), ("monitor", "")])
def test_a_lu_that_is_in_no_group_any_more_is_missed(
    groups: Groups, action: str, plug: str
) -> None:
    """The cache was removed and B's disk is away: without B nothing is called done."""
    (groups.folder / "state-n1" / "volume-groups").unlink()
    groups.shown = [SDB]
    del groups.where[SDC]
    answer = groups.do(action, plug)
    assert answer.code == 1 and f"({SDC}): joined in this boot" in answer.err[0]
    assert groups.keys("A") == groups.keys("B") == 2
    assert groups.do("on", "n1").code == 0
    assert groups.do("off", "n2").code == 0


@pytest.mark.parametrize("action", ["status", "list-status"])
def test_a_host_that_has_not_joined_says_of_no_node_that_it_is_off(
    joined: Stage, action: str
) -> None:
    """It cannot know that a disk is missing which the pattern does not show."""
    pattern = f"mock:{joined.folder}/lu[0-9]"
    joined.reboot("n3")
    assert joined.do("n3", "status", "n2", devices=pattern) == (0, "Status: ON\n", "")
    assert joined.do("n1", "off", "n2").code == 0
    assert_refused(joined.do("n3", action, "n2", devices=pattern), "no node can be said to be OFF")
    assert joined.do("n3", action, "n2").code in (0, 2), "named one by one it can be said"
    assert joined.do("n1", "status", "n2", devices=pattern) == (2, "Status: OFF\n", "")


# --- Open files ----------------------------------------------------------------------------------


def _made_room(paths: int, soft: int, hard: int) -> str:
    """The soft limit afterwards, in a process of its own."""
    script = (
        "from resource import *; from fence_prbarrier.discovery import _make_room;"
        f"setrlimit(RLIMIT_NOFILE, ({soft}, {hard})); _make_room({paths});"
        "print(getrlimit(RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    return (done.stdout or done.stderr).strip()


def test_open_files_for_every_path_or_an_error() -> None:
    """Out of descriptors, sysfs would read as empty and paths would seem lost."""
    room = discovery.SPARE_DESCRIPTORS
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 2000
    assert _made_room(1024, 1024, 2000) == str(1024 + room)
    assert _made_room(1024, 1900, 2000) == "1900"
    assert _made_room(10, 256, 2000) == "256"
    told = _made_room(1024, 1024, 1024)
    assert "DeviceError: 1024 paths take" in told and "the system allows 1024" in told


def test_a_dead_fabric_is_told_in_few_lines(joined: Stage, tmp_path: Path) -> None:
    """Every line on stderr is one of Pacemaker's log, at every monitor."""
    from fence_prbarrier.agent.task import _tell_lost
    from fence_prbarrier.barrier.unit import Unit

    options = Options({"state_dir": str(tmp_path / "none"), "nodes": "n1:1", "cluster_name": "c"})
    task = Task("monitor", options, build_cluster("c", "", "n1:1"), "n1", "", 0.0)
    told = Groups.__new__(Groups)
    told.warnings = []
    lost = (("/dev/gone", "device /dev/gone: is not there"),)
    units = [Unit(f"naa.{n}", (("nexus", "/dev/a"),), lost=lost) for n in range(200)]
    _tell_lost(task, units, told)  # type: ignore[arg-type]
    assert len(told.warnings) == 5
    assert told.warnings[-1] == "and 196 more LUs have lost a path"
