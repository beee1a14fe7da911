"""Rules 1, 2 and 6 on a real target: what is not known, or not ours, is an error that names it."""

from __future__ import annotations

import contextlib
import re
import struct
import time
from collections.abc import Iterator

import pytest

from .agent import WERO, Node, Running, Said, bears, joined, number_of, persist
from .guest import LabError
from .san import Lab

CONFIG = "/sys/kernel/config/target/core"
DEADLINE_S = 6
DEADLINE_SLACK_S = 3.0  # for starting and ending an interpreter in the guest
OTHER_KEY = 0xBEEF_0001_00000001
LVM_KEY = 0x1000_0001_0000_0001
SHORT_KEY = 0xA0001


def name_of(lab: Lab, lun: int) -> str:
    """What the agent calls a LU: the NAA designator of VPD 83h, read here from the bytes."""
    page = lab.scsi(lab.sg("n3", lun), bytes([0x12, 1, 0x83, 1, 0, 0]), length=256).data
    assert page[4:8] == bytes([1, 3, 0, 16])
    return f"LU naa.{page[8:24].hex()}"


def refused(said: Said, lab: Lab, lun: int, *words: str) -> None:
    """Exit code 1, nothing on stdout, one line that names the LU (not the other) and says why."""
    assert (said.code, said.out) == (1, ""), said
    assert said.err.count("\n") == 1, said
    assert name_of(lab, lun) in said.err
    assert name_of(lab, 1 - lun) not in said.err
    for word in words:
        assert word in said.err, said.err


def hand_over(lab: Lab, lun: int, key: int, kind: int) -> None:
    """Release our reservation of a LU, and reserve it under another key, type or both."""
    held = bears(lab, lun)
    persist(lab, f"-L -T {held.type} -K {held.holder:x}", "n1", lun)
    if key not in held.keys:
        persist(lab, f"-I -S {key:x}", "n3", lun)
    through = "n1" if number_of(key) == 1 and key in held.keys else "n3"
    persist(lab, f"-R -T {kind} -K {key:x}", through, lun)
    assert (bears(lab, lun).holder, bears(lab, lun).type) == (key if kind < 7 else 0, kind)


def two_members(lab: Lab) -> list[Node]:
    """n1 and n2 have joined, n3 never has."""
    return joined(lab, count=2)


def test_a_bare_lu(lab: Lab) -> None:
    """Rule 1: one LU bears nothing (it lost its state): an absent key proves nothing there."""
    n1, n2, _ = two_members(lab)
    persist(lab, f"-C -K {n1.key(1):x}", "n1", 1)
    assert bears(lab, 1).keys == []
    refused(n1.run("status", "n3"), lab, 1, "no reservation stands")
    refused(n1.run("list-status"), lab, 1, "no reservation stands")
    refused(n1.run("off", "n2"), lab, 1, "not registered")
    refused(n1.run("monitor"), lab, 1, "not registered")
    assert len(bears(lab, 0).keys) == 2  # nothing was sent to the good LU either
    # Where nothing at all stands, nobody evicted this node: it may register again.
    assert n1.run("on", "n1").out == "Success: Powered ON\n"
    assert (bears(lab, 1).holder, bears(lab, 1).type) == (n1.key(0), WERO)
    # n2 has lost its place on that LU, and cannot tell that from an eviction.
    assert "reboot" in n2.run("on", "n2").err


def test_no_reservation(lab: Lab) -> None:
    """Rule 1: keys, but no reservation: no OFF and no `off`, which puts the barrier up again."""
    n1, _, n3 = two_members(lab)
    persist(lab, f"-L -T {WERO} -K {n1.key(1):x}", "n1", 1)
    assert bears(lab, 1).type == 0
    for reader in (n1, n3):
        refused(reader.run("status", "n3"), lab, 1, "no reservation stands", "anybody may write")
    refused(n1.run("list-status"), lab, 1, "no reservation stands")
    refused(n1.run("monitor"), lab, 1, "no reservation stands")
    present = n1.run("status", "n2")
    assert (present.code, present.out) == (0, "Status: ON\n")
    assert "no reservation stands" in present.err
    refused(n1.run("off", "n2"), lab, 1, "no reservation stands", "anybody may write")
    assert bears(lab, 0).type == WERO and n1.run("status", "n2").code == 0
    assert n1.run("off", "n2").out == "Success: Powered OFF\n"
    assert (bears(lab, 1).holder, bears(lab, 1).type) == (n1.key(1), WERO)
    assert n1.run("status", "n2").code == 2


@pytest.mark.parametrize("kind", [1, 3, 8])
def test_another_type(lab: Lab, kind: int) -> None:
    """Rules 1 and 6: a reservation of another type, even under this node's own key."""
    n1, *_ = two_members(lab)
    hand_over(lab, 1, n1.key(1), kind)
    before = [bears(lab, lun, "n1") for lun in (0, 1)]
    refused(n1.run("status", "n3"), lab, 1, "expected type 5")
    refused(n1.run("off", "n2"), lab, 1, "expected type 5")
    if kind == 1:
        refused(n1.run("monitor"), lab, 1, "expected type 5")
        refused(n1.run("validate-all"), lab, 1, "expected type 5")
        refused(n1.run("on", "n1"), lab, 1, "expected type 5")
    assert [bears(lab, lun, "n1") for lun in (0, 1)] == before


@pytest.mark.parametrize(
    ("key", "whose"),
    [(OTHER_KEY, "cluster tag 0xbeef"), (SHORT_KEY, "fence_scsi"), (LVM_KEY, "LVM")],
)
def test_another_owner(lab: Lab, key: int, whose: str) -> None:
    """Rules 1 and 6: another cluster's, another product's or LVM's key holds: refused by name."""
    n1, *_ = two_members(lab)
    hand_over(lab, 1, key, WERO)
    before = [bears(lab, lun) for lun in (0, 1)]
    for said in (n1.run("status", "n3"), n1.run("off", "n2"), n1.run("monitor")):
        refused(said, lab, 1, whose)
    assert [bears(lab, lun) for lun in (0, 1)] == before


def test_another_cluster_keeps_out(lab: Lab) -> None:
    """Rule 6: a cluster of another name can neither join nor evict, and changes nothing."""
    joined(lab)
    before = [bears(lab, lun) for lun in (0, 1)]
    stranger = Node(lab, "n1")
    stranger.cluster = "another"
    stranger.reboot()
    for action, plug in (("on", "n1"), ("status", "n2"), ("monitor", ""), ("validate-all", "")):
        said = stranger.run(action, plug)
        assert said.code == 1 and "not by this cluster" in said.err
    assert stranger.run("off", "n2").code == 1
    assert [bears(lab, lun) for lun in (0, 1)] == before


@pytest.fixture
def broken(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """LU 1 cannot be read: its path is offline, or its target knows no reservations."""
    if request.param == "offline":
        attribute = f"/sys/class/scsi_device/{lab.path('n1', 1).address}/device/state"
        bad, good = "offline", "running"
    else:
        attribute = f"{CONFIG}/fileio_1/disk1/attrib/emulate_pr"
        bad, good = "0", "1"
    lab.guest.share("break.sh", f"echo {bad} >{attribute}\n")
    try:
        yield "its path is offline" if bad == "offline" else "invalid command operation code"
    finally:
        lab.ok(f"echo {good} >{attribute}")


@pytest.mark.parametrize("broken", ["offline", "no reservations"], indirect=True)
def test_one_lu_of_two_unreadable(lab: Lab, broken: str) -> None:
    """Rules 1 and 2: n2 is gone from the LU that can be read; that is not OFF."""
    n1, *_ = two_members(lab)
    before = bears(lab, 0)
    lab.ok("sh /lab/break.sh")
    for action, plug in (("status", "n3"), ("off", "n2"), ("monitor", ""), ("list-status", "")):
        said = n1.run(action, plug)
        assert (said.code, said.out) == (1, ""), said
        assert broken in said.err
        assert n1.devices[1] in said.err and n1.devices[0] not in said.err
    assert bears(lab, 0) == before


def test_a_path_that_dies_in_flight(lab: Lab) -> None:
    """Rule 2: sg_persist reads "no keys" from it; the agent never does, over any kind of node."""
    n1, n2, n3 = joined(lab)
    before = [bears(lab, lun, "n2") for lun in (0, 1)]
    lab.cut_path("n1", wait=False)
    runs: list[Running] = [
        Node(lab, "n1", through).start(
            action, plug, power_timeout="25", monitor_timeout="25", command_timeout="20"
        )
        for through, action, plug in (
            ("dev", "status", "n3"),
            ("sg", "status", "n2"),
            ("bsg", "status", "n3"),
            ("dev", "off", "n2"),
            ("dev", "list-status", ""),
            ("sg", "monitor", ""),
        )
    ]
    answers = [run.wait(40) for run in runs]
    # The kernel gave them back, or its state of the path told that it would not for long.
    died = ("transport error, host status", "the path hangs")
    assert any(word in said.err for said in answers for word in died), answers
    for said in answers:
        assert (said.code, said.out) == (1, ""), said
        assert "failed: " in said.err
        assert re.search(r"host status|ENXIO|ENODEV|not running|timed out", said.err), said
    lab.await_state("n1", "transport-offline")
    for action, plug in (("status", "n3"), ("off", "n2")):
        said = n1.run(action, plug)
        assert said.code == 1
        assert f"device {n1.devices[0]}" in said.err
        assert "its path is transport-offline" in said.err
    assert [bears(lab, lun, "n2") for lun in (0, 1)] == before
    # The others go on: they evict the node that has no path any more.
    assert n2.run("off", "n1").out == "Success: Powered OFF\n"
    lab.revive_path("n1")
    assert n3.run("status", "n1").code == 2
    assert n1.run("off", "n2").code == 1


def test_a_path_that_hangs(lab: Lab) -> None:
    """A hung path hangs nobody: the answer comes by the deadline, and names what it waits for."""
    n1, n2, _ = joined(lab)
    before = bears(lab, 0, "n2")
    lab.cut_path("n1", wait=False)
    session = lab.path("n1", 0).session
    lab.ok(f"echo 60 >/sys/class/iscsi_session/{session}/recovery_tmo")
    try:
        began = time.monotonic()
        runs = [
            n1.start(action, plug, power_timeout=str(DEADLINE_S), command_timeout="60")
            for action, plug in (("status", "n3"), ("off", "n2"))
        ]
        for said in [run.wait(DEADLINE_S + DEADLINE_SLACK_S) for run in runs]:
            assert (said.code, said.out) == (1, ""), said
            assert "timed out: no answer yet from: " in said.err
            assert n1.devices[0] in said.err
        assert time.monotonic() - began > DEADLINE_S / 2  # the guest has a clock of its own
        assert bears(lab, 0, "n2") == before
    finally:
        lab.revive_path("n1")
    # Whoever was killed in the middle sends nothing when the path is back.
    assert n2.run("status", "n2").code == 0
    assert bears(lab, 0, "n2").keys == before.keys


def test_a_partition_is_refused(lab: Lab) -> None:
    """Reservations are of the whole disk: a partition is refused by `on`, `status` and `off`."""
    disk = lab.dev("n1", 0)
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\xff\xff\xff", 2048, 4096)
    assert lab.write("n1", 0, 0, bytes(446) + entry + bytes(48) + b"\x55\xaa").errno == ""
    try:
        lab.ok(f"blockdev --rereadpt {disk}; ls {disk}1")
        node = Node(lab, "n1", luns=(0,))
        node.devices = [f"{disk}1"]
        for action in ("on", "status", "monitor", "validate-all"):
            said = node.run(action, "n1")
            assert (said.code, said.out) == (1, "")
            assert f"device {disk}1: is a partition" in said.err
        assert bears(lab).keys == []
    finally:
        assert lab.write("n1", 0, 0, bytes(512)).errno == ""
        lab.ok(f"blockdev --rereadpt {disk}")


def test_a_device_mapper_node_is_refused(lab: Lab) -> None:
    """A linear map stands for any part of any disk; the disks below are to be named."""
    lab.ok(
        f"dmsetup create --noudevsync over --table '0 2048 linear {lab.dev('n1', 0)} 0';"
        " dmsetup mknodes over"
    )
    try:
        node = Node(lab, "n1", luns=(0,))
        node.devices = ["/dev/mapper/over"]
        for action in ("on", "status"):
            said = node.run(action, "n1")
            assert (said.code, said.out) == (1, "")
            assert "device /dev/mapper/over: is a device-mapper device and no multi" in said.err
        assert bears(lab).keys == []
    finally:
        lab.ok("dmsetup remove --noudevsync over; dmsetup mknodes")


def test_other_wrong_devices(lab: Lab) -> None:
    """A loop device, a tape's absence, a directory, a node that is not there: named, exit 1."""
    loop = lab.ok("truncate -s 1M /run/loop; losetup --show -f /run/loop").strip()
    try:
        for name, why in (
            (loop, "is not a SCSI device"),
            ("/dev/null", "is a character device of another kind"),
            ("/dev/nst9", "is not there"),
            ("/run", "is a directory"),
            ("/run/loop", "is a file"),
        ):
            node = Node(lab, "n1", luns=(1,))
            node.devices.append(name)
            said = node.run("status", "n2")
            assert (said.code, said.out) == (1, "")
            assert f"device {name}: {why}" in said.err
    finally:
        with contextlib.suppress(LabError):
            lab.ok(f"losetup -d {loop}")
