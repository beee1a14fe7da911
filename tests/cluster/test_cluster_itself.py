"""The cluster is what it says it is. Without this, no test that uses it means anything."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..lab.guest import REPO
from . import conftest
from .cluster import NODES, Cluster
from .inguest_blocks import Signature, read_signature, sign
from .pacemaker import dummy, prefers
from .premises import belongings, sweep

SETTLE_S = 60.0
CHILD = f"""
import os, sys
sys.path.insert(0, {str(REPO)!r})
from tests.cluster.cluster import Cluster
from tests.cluster.premises import owner_mark
cluster = Cluster(nodes=["n1"], started=False)
cluster.boot()
cluster.node("n1").freeze()  # so that the loss of its console does not end it
network = os.stat(f"/proc/{{cluster.node('n1').guest.pid}}/ns/net").st_ino
print(owner_mark(), network, cluster.premises.folder, flush=True)
sys.stdin.read()
cluster.end()
"""


def test_storage_cut_and_power_cycle(cluster: Cluster) -> None:
    """A node off the storage network stays in the cluster; a target's power cut keeps the keys."""
    cluster.node("n2").cut("san0")
    assert cluster.node("n2").sh("ping -c 1 -W 2 " + cluster.storage.address("san0")).code != 0
    assert (
        cluster.node("n2").sh("ping -c 1 -W 2 " + cluster.node("n1").address("cluster")).code == 0
    )
    cluster.node("n2").mend("san0")
    before = [cluster.storage.bears(u.index) for u in cluster.storage.units]
    assert cluster.storage.power_cycle() == len(NODES) * len(cluster.storage.units)
    for node in cluster.nodes.values():
        node.await_devices()
    assert [cluster.storage.bears(u.index) for u in cluster.storage.units] == before


def test_logs_are_kept(cluster: Cluster, tmp_path: Path) -> None:
    """Daemons' logs and consoles of every machine, and a picture of the cluster."""
    kept = cluster.logs(tmp_path / "kept")
    assert "n3" in (kept / "picture.txt").read_text()
    for node in NODES:
        assert "pacemaker" in (kept / node / "pacemaker/pacemaker.log").read_text()
        assert "TOTEM" in (kept / node / "cluster/corosync.log").read_text()
        assert list((kept / node).glob("console-*.txt"))
    assert list((kept / "storage").glob("console-*.txt"))


def test_nothing_is_left_behind() -> None:
    """Neither by a run that ends in order nor, once the next has begun, by one that is killed."""
    interfaces = os.listdir("/sys/class/net")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    marks, namespaces, folders = [], [], []
    for child in children:
        assert child.stdout is not None
        mark, namespace, folder = child.stdout.readline().split()
        assert belongings(mark) and Path(folder).is_dir() and int(namespace) in networks()
        marks.append(mark)
        namespaces.append(int(namespace))
        folders.append(Path(folder))
    children[0].communicate(timeout=SETTLE_S)
    assert children[0].returncode == 0 and belongings(marks[0]) == []
    children[1].kill()
    children[1].communicate(timeout=SETTLE_S)
    assert belongings(marks[1]) != []
    assert sweep() != []
    deadline = time.monotonic() + SETTLE_S
    while belongings(marks[1]) and time.monotonic() < deadline:
        sweep()
        time.sleep(0.05)
    assert [belongings(mark) for mark in marks] == [[], []]
    assert not any(folder.exists() for folder in folders)
    assert not networks() & set(namespaces)
    assert os.listdir("/sys/class/net") == interfaces


def networks() -> set[int]:
    """The network namespaces of all processes."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            found.add(os.stat(entry / "ns/net").st_ino if entry.name.isdigit() else 0)
        except OSError:
            continue
    return found


def test_a_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says which; where CI is set that is a failure, elsewhere the tests are skipped."""
    monkeypatch.setattr(conftest, "PROGRAMS", "no-such-program")
    monkeypatch.setattr(conftest, "lab_cannot", lambda: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is missing"):
        conftest.require()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is missing"):
        conftest.require()


class PaperCluster(Cluster):
    """One that needs no machine; notes what becomes of it."""

    def __init__(self, name: str, notes: list[str]) -> None:
        super().__init__(name=name, started=False)
        self.notes = notes

    def boot(self) -> None:
        """Note it."""
        self.notes.append(f"{self.name} up")

    def end(self) -> None:
        """Note it."""
        self.notes.append(f"{self.name} down")


def test_one_cluster_at_a_time(tmp_path: Path) -> None:
    """Whoever is put onto the floor finds it empty; one that does not come up is cleared away."""

    def fail(cluster: Cluster) -> None:
        raise AssertionError("not ready")

    notes: list[str] = []
    floor = conftest.Floor(tmp_path)
    for name in ("a", "b"):
        floor.put(name, PaperCluster(name, notes), lambda cluster: None)
        assert floor.cluster is not None and (floor.name, floor.cluster.name) == (name, name)
    with pytest.raises(pytest.fail.Exception, match="cluster c did not come up: not ready"):
        floor.put("c", PaperCluster("c", notes), fail)
    assert notes == ["a up", "a down", "b up", "b down", "c up", "c down"]
    assert (floor.name, floor.cluster) == ("", None)


def test_lus_come_and_go(cluster: Cluster) -> None:
    """All nodes find a LU that is added, and lose it when it is removed; others stay."""
    added = cluster.add(2)
    for node in cluster.nodes.values():
        assert node.path(2).state == "running"
        assert node.ok(f"readlink -f {cluster.devices()[-1]}").strip() == node.dev(2)
    cluster.remove(added)
    for node in cluster.nodes.values():
        assert sorted(path.lun for path in node.paths()) == [0, 1]


def test_restored(cluster: Cluster) -> None:
    """Whatever a test has configured is gone, and the fence device as it was."""
    cluster.create("resources", dummy("left"))
    cluster.create("constraints", prefers("left", "n3"))
    device = "<primitive id='fence'><instance_attributes id='fence-instance_attributes'>"
    device += "<nvpair id='fence-instance_attributes-devices' name='devices' value='/dev/null'/>"
    device += "</instance_attributes></primitive>"
    cluster.node("n1").ok("cibadmin --modify --xml-pipe", stdin=device)
    cluster.restore()
    assert {resource.id for resource in cluster.status().resources} == {"fence"}
    assert "/dev/null" not in cluster.node("n1").ok("cibadmin --query")
    assert cluster.status().failures == []
    assert cluster.node("n2").agent("status", "n3").output == "Status: ON\n"


def test_signatures() -> None:
    """A block that is torn, in any byte, bears nobody's name."""
    signature = Signature("n1", "d2b3827f-8b66-4144-a270-553c0745462d", 2**32 - 1, 7, 9, 11, 2**60)
    for size in (512, 4096):
        block = sign(signature, size)
        assert len(block) == size and read_signature(block) == signature
        for place in range(0, size, 61):
            torn = bytearray(block)
            torn[place] ^= 1
            assert read_signature(bytes(torn)) is None
    assert read_signature(bytes(512)) is None
