"""The cluster is what it says it is. Without this, no test that uses it means anything."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..lab.guest import REPO, LabError
from . import conftest
from .blocks import Watch, Writer
from .cluster import NODES, Cluster
from .fencing import Fencing, fencings, when
from .inguest_blocks import Signature, read_signature, sign
from .node import Node
from .pacemaker import dummy, prefers
from .premises import belongings, sweep
from .storage import WERO

SETTLE_S = 60.0
WATCHED_S = 4.0
INCARNATION = 0xFFFFFFFF
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


def incarnations(cluster: Cluster, node: str) -> set[int]:
    """The incarnations of a node that any LU bears."""
    keys = [
        key for u in cluster.storage.units for key in cluster.storage.keys(u.index).get(node, [])
    ]
    return {key & INCARNATION for key in keys}


def run_on(cluster: Cluster, node: str, name: str) -> None:
    """Start a resource that would rather run on one node."""
    cluster.create("resources", dummy(name))
    cluster.create("constraints", prefers(name, node))
    cluster.wait_for(lambda: cluster.status().where(name) == [node], SETTLE_S, f"{name} on {node}")


def gone_for_good(cluster: Cluster, victim: Node, watch: Watch, began: float) -> Fencing:
    """Wait until the victim is declared fenced; check that this is true, now and for a while."""
    fencing = cluster.await_fenced(victim.name, began)
    assert all(victim.name not in cluster.storage.keys(u.index) for u in cluster.storage.units)
    assert "successful" in cluster.history(victim.name)
    assert 0 < fencing.agent_seconds < fencing.declared - began
    print(f"{victim.name}: fenced by {fencing.by} after {fencing.declared - began:.1f} s,", end=" ")
    print(f"of which the agent {fencing.agent_seconds:.1f} s")
    time.sleep(max(0.0, fencing.declared + WATCHED_S - time.time()))
    assert watch.changed_after(fencing.declared) == []
    return fencing


def test_all_join_before_anything_starts(cluster: Cluster) -> None:
    """Keys of all three on every LU, one reservation of type 5; the first start came later."""
    assert cluster.status().online() == list(NODES)
    for u in cluster.storage.units:
        bears = cluster.storage.bears(u.index)
        assert {node: len(keys) for node, keys in bears.keys.items()} == dict.fromkeys(NODES, 1)
        assert (bears.type, bears.holder in NODES) == (WERO, True)
    began = f".*Requesting local execution of start operation for {conftest.FIRST} "
    starts = {}
    for node in cluster.nodes.values():
        starts[node.name] = list(when(node.log(), began))
        joined = f".*Operation 'on' \\[.* targeting {node.name} .*returned 0"
        first = next(when(node.log(), joined))
        assert all(first < start for start in starts[node.name])
    assert sum(map(len, starts.values())) >= 1, starts


def test_killed(cluster: Cluster) -> None:
    """A node whose plug is pulled is fenced by our agent, its resource moves, and it comes back."""
    victim = cluster.node("n2")
    run_on(cluster, "n2", "mover")
    before = incarnations(cluster, "n2")
    writer = Writer(victim, lun=1)
    watch = Watch(cluster.node("n1"), writer)
    cluster.wait_for(watch.changes, 10, "the writer's blocks to be seen")
    began = time.time()
    victim.kill()
    with pytest.raises(LabError, match="switched off"):
        victim.sh("true")
    gone_for_good(cluster, victim, watch, began)
    cluster.wait_for(lambda: cluster.status().where("mover") in (["n1"], ["n3"]), SETTLE_S, "move")
    assert watch.changed_after(began - 1)  # else the watch would have seen nothing in any case
    watch.stop()
    signed = {(s.node, s.thread) for s in watch.found() if s is not None}
    assert signed == {("n2", thread) for thread in range(writer.given["threads"])}
    assert writer.first_error() is None and min(writer.acknowledged) > 0

    victim.boot()
    cluster.rejoin("n2")
    assert min(incarnations(cluster, "n2")) > max(before)
    cluster.wait_for(lambda: cluster.status().where("mover") == ["n2"], SETTLE_S, "return")


def test_frozen(cluster: Cluster) -> None:
    """A node that stands still is fenced; when it goes on its writes fail; a reboot cures it."""
    victim = cluster.node("n3")
    before = incarnations(cluster, "n3")
    writer = Writer(victim)
    watch = Watch(cluster.node("n2"), writer)
    began = time.time()
    victim.freeze()
    gone_for_good(cluster, victim, watch, began)
    boot_id = watch.changes()[-1].samples[0]
    victim.thaw()
    thawed = time.time()
    cluster.wait_for(writer.errnos, SETTLE_S, "the victim's writes to fail")
    time.sleep(WATCHED_S)
    assert writer.errnos() == {"EBADE"}
    assert watch.changed_after(thawed) == []
    refused = victim.agent("on", "n3")
    assert refused.code == 1 and "reboot" in refused.output, refused
    assert victim.agent("off", "n1").code == 1
    assert boot_id is not None and boot_id.boot_id == victim.boot_id()
    watch.stop()

    victim.reboot()
    assert boot_id.boot_id != victim.boot_id()
    cluster.rejoin("n3")
    assert min(incarnations(cluster, "n3")) > max(before)


def test_cut_off(cluster: Cluster) -> None:
    """A node that only the disks can hear is fenced at the disks; mended, it is still evicted."""
    victim = cluster.node("n1")
    writer = Writer(victim)
    watch = Watch(cluster.node("n2"), writer)
    began = time.time()
    victim.cut()
    gone_for_good(cluster, victim, watch, began)
    assert writer.errnos() == {"EBADE"}
    assert not cluster.status("n1").quorum and cluster.status("n2").quorum
    assert [path.state for path in victim.paths()] == ["running", "running"]
    victim.mend()
    assert victim.agent("on", "n1").code == 1
    writer.stop()
    watch.stop()
    assert all("n1" not in cluster.storage.keys(u.index) for u in cluster.storage.units)


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


def test_stop_and_start(cluster: Cluster) -> None:
    """Stopped in order, all keys stay; started again, nobody is fenced and nobody rejoins."""
    before = [cluster.storage.keys(u.index) for u in cluster.storage.units]
    began = time.time()
    cluster.stop()
    assert not any(node.running for node in cluster.nodes.values())
    assert [cluster.storage.keys(u.index) for u in cluster.storage.units] == before
    cluster.start()
    cluster.await_joined(NODES)
    logs = {node.name: node.log() for node in cluster.nodes.values()}
    assert [f.action for n in NODES for f in fencings(logs, n, began) if f.action != "on"] == []
    assert [cluster.storage.keys(u.index) for u in cluster.storage.units] == before


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
