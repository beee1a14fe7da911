"""Devices that nobody names: patterns over udev's links, volume groups of a real LVM."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from .agent import Node, bears, joined, nodes, number, number_of
from .guest import JobTimeout
from .san import Lab

ON = (0, "Success: Powered ON\n", "")
BOTH = (0, 1)
CACHE = "volume-groups"
# One partition from 1 MiB on, of type 8Eh: what stands at the end of a boot record.
PARTITION = b"\0\2\0\x8e\xff\xff\xff" + (2048).to_bytes(4, "little") + (28000).to_bytes(4, "little")
RECORD = bytes(446) + b"\0" + PARTITION + bytes(48) + b"\x55\xaa"
# lvmlockd would want a cluster of its own: the type of lock is written into the metadata. The
# allocation policy is what makes fence_scsi 4.12 find the group, which looks for any "c".
SHARE = r"""
vgcfgbackup -f /run/vg shared >/dev/null
sed -i 's/^\tstatus = .*RESIZEABLE.*/&\n\tlock_type = "dlm"\n\tlock_args = "1.0.0:lab"/' /run/vg
sed -i 's/^\tlock_type.*/&\n\tallocation_policy = "contiguous"/' /run/vg
vgcfgrestore --force -f /run/vg shared >/dev/null
"""
FENCE_SCSI = """
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
sys.argv = ["fence_scsi"]
sys.path.insert(0, "/usr/share/fence")
spec = spec_from_loader("them", SourceFileLoader("them", "/usr/sbin/fence_scsi"))
them = module_from_spec(spec)
spec.loader.exec_module(them)
print(" ".join(them.get_clvm_devices({"--vgs-path": "/sbin/vgs"})))
"""


def configure(lab: Lab, *disks: str, lvmlockd: int = 0) -> None:
    """Have LVM look at these disks and their partitions only."""
    accept = ", ".join(f'"a|^{disk}[0-9]*$|"' for disk in (*disks, "/dev/mapper/hang"))
    lab.ok(
        f"modprobe dm-mod; echo 'global {{ use_lvmlockd = {lvmlockd} }}"
        f' devices {{ global_filter = [ {accept}, "r|.*|" ] }}\' >/etc/lvm/lvmlocal.conf'
    )


def make_group(lab: Lab, *volumes: str) -> None:
    """A shared volume group on these."""
    lab.ok(f"pvcreate -y {' '.join(volumes)} && vgcreate shared {' '.join(volumes)}\n{SHARE}")


def wipe(lab: Lab) -> None:
    """Nothing of LVM's on any LU, and its own configuration."""
    lab.clear()  # or the reservation of a test keeps us from writing
    for unit in lab.units:
        disk = lab.dev("n3", unit.index)
        lab.ok(f"dd if=/dev/zero of={disk} bs=1M count=2 oflag=direct 2>&1")
    lab.ok("rm -f /etc/lvm/lvmlocal.conf /run/lvm/hints; blockdev --rereadpt $(ls /dev/sd?) 2>&1")


@pytest.fixture
def lvm(lab: Lab) -> Iterator[Lab]:
    """The laboratory with LVM, which sees n1's disks only."""
    if shutil.which("vgs", path="/usr/sbin:/sbin") is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("vgs is missing (tests/lab/deps.sh installs it)")
    configure(lab, *(lab.dev("n1", lun) for lun in BOTH))
    yield lab
    wipe(lab)


def unnamed(lab: Lab) -> Node:
    """n1, which has never joined and names no device, beside n2 and n3, which do."""
    node = nodes(lab)[0]
    node.devices = []
    return node


def kept(lab: Lab, node: Node) -> list[str]:
    """The disks that its state_dir holds."""
    lines = lab.ok(f"cat {node.state_dir}/{CACHE}").splitlines()
    return [line.removeprefix("disk ") for line in lines if line.startswith("disk ")]


def members(lab: Lab) -> list[list[int]]:
    """The node numbers whose keys each LU bears."""
    return [[number_of(key) for key in bears(lab, lun).keys] for lun in BOTH]


def test_shared_groups_are_found(lvm: Lab) -> None:
    """As fence_scsi finds them; off and status then run no vgs."""
    disks = [lvm.dev("n1", lun) for lun in BOTH]
    make_group(lvm, *disks)
    n1, n2 = unnamed(lvm), nodes(lvm)[1]
    assert n1.run("validate-all") == (0, "", "")
    assert n1.run("on", "n1") == ON
    assert n2.run("on", "n2") == ON
    assert members(lvm) == [[1, 2], [1, 2]]
    assert kept(lvm, n1) == sorted(disks)
    configure(lvm, *disks, lvmlockd=1)
    theirs = lvm.ok(f"python3 -c '{FENCE_SCSI}'", timeout=60).split()
    assert sorted(theirs) == sorted(disks)
    assert n1.run("monitor") == (0, "", "")
    trace = "strace -f -qq -e trace=execve"
    for action, word in (("status", "Status: ON\n"), ("off", "Success: Powered OFF\n")):
        said = n1.start(action, "n2", prefix=trace).wait()
        assert (said.code, said.out) == (0, word) and "vgs" not in said.err
    said = n1.start("monitor", prefix=trace).wait()
    assert said.code == 0 and "/vgs" in said.err
    assert members(lvm) == [[1], [1]]
    assert n1.run("status", "n2") == (2, "Status: OFF\n", "")
    n1.reboot()
    # By vgs: nothing is kept yet.  And whoever has not joined cannot know what is missing.
    said = n1.run("status", "n2")
    assert said.code == 1 and "no node can be said to be OFF" in said.err, said
    assert kept(lvm, n1) == sorted(disks)


def test_a_group_that_is_not_shared_is_not_taken(lvm: Lab) -> None:
    """Nor is a set made of nothing: the error says what to give."""
    lvm.ok(f"pvcreate -y {lvm.dev('n1')}; vgcreate local {lvm.dev('n1')}")
    n1 = unnamed(lvm)
    for action in ("on", "monitor", "validate-all"):
        said = n1.run(action, "n1")
        assert said.code == 1 and "no shared volume group" in said.err, said
    said = n1.run("status", "n2")
    assert said.code == 1 and "no devices are given" in said.err
    assert members(lvm) == [[], []]
    assert lvm.sh(f"ls {n1.state_dir}/{CACHE}").code != 0


def test_a_volume_on_a_partition_stands_for_the_disk(lvm: Lab) -> None:
    disks = [lvm.dev("n1", lun) for lun in BOTH]
    lvm.ok(f"dd of={disks[1]} conv=fsync 2>&1 && blockdev --rereadpt {disks[1]}", stdin=RECORD)
    make_group(lvm, disks[0], f"{disks[1]}1")
    n1 = unnamed(lvm)
    assert n1.run("on", "n1") == ON
    assert kept(lvm, n1) == sorted(disks)
    assert members(lvm) == [[1], [1]]


def test_a_disk_that_vgs_misses_is_still_fenced(lvm: Lab) -> None:
    """Its SCSI device goes: off fails and names it; without it nothing is called done."""
    disks = [lvm.dev("n1", lun) for lun in BOTH]
    make_group(lvm, *disks)
    n1 = joined(lvm)[0]
    n1.devices = []
    assert n1.run("on", "n1").code == 0
    address = lvm.path("n1", 1).address
    lvm.ok(f"echo 1 >/sys/class/scsi_device/{address}/device/delete")
    try:
        for action in ("off", "status", "list-status", "monitor", "on"):
            said = n1.run(action, "n1" if action == "on" else "n2")
            assert said.code == 1 and f"device {disks[1]}: is not there" in said.err, said
            assert ("misses a physical volume" in said.err) is (action in ("monitor", "on")), said
        assert 2 in members(lvm)[1]
        n1.reboot()
        said = n1.run("status", "n2")
        assert said.code == 1 and "misses a physical volume ([unknown])" in said.err
    finally:
        lvm._rescan()  # its own name again, or another one


def test_a_vgs_that_hangs(lvm: Lab) -> None:
    """In the kernel, where no signal reaches it: nobody waits for it, and it stays the only one."""
    disks = [lvm.dev("n1", lun) for lun in BOTH]
    make_group(lvm, *disks)
    n1, n2 = unnamed(lvm), nodes(lvm)[1]
    assert n2.run("on", "n2").code == 0
    assert n1.run("on", "n1").code == 0
    lvm.ok(
        "modprobe loop; truncate -s 16M /run/hang; loop=$(losetup -f --show /run/hang) &&"
        " echo 0 32768 linear $loop 0 | dmsetup create hang; dmsetup mknodes; dmsetup suspend hang"
    )
    try:
        for _ in range(2):
            said = n1.run("monitor", monitor_timeout="12")
            assert said.code == 0 and "going on with the disks found before" in said.err, said
        assert lvm.ok("ps -eo stat=,comm= | grep -c '^D.*vgs'").strip() == "1"
        assert n1.run("off", "n2") == (0, "Success: Powered OFF\n", "")
        n1.reboot()
        said = n1.run("monitor", monitor_timeout="12")
        assert said.code == 1 and "vgs gave no answer" in said.err
    except JobTimeout:
        pytest.fail("the agent waited for vgs")
    finally:
        lvm.ok("dmsetup resume hang; dmsetup remove --retry hang; losetup -D")
    assert n1.run("monitor") == (0, "", "")


# --- patterns ----------------------------------------------------------------------------------


def links(lab: Lab, name: str) -> str:
    """A pattern for udev's links of one node's paths."""
    return f"/dev/disk/by-path/ip-{lab.address(name)}:*-lun-*"


def test_a_pattern_over_by_path_links(lab: Lab) -> None:
    lab.udev()
    members_here = nodes(lab)
    for node in members_here:
        node.devices = [links(lab, node.name)]
        assert node.run("on", node.name) == ON
    assert members(lab) == [[1, 2, 3], [1, 2, 3]]
    n1 = members_here[0]
    assert n1.run("off", "n2") == (0, "Success: Powered OFF\n", "")
    assert n1.run("status", "n2") == (2, "Status: OFF\n", "")


def test_a_pattern_leaves_partitions_out(lab: Lab) -> None:
    """The links of a disk's partitions match wwn-* too."""
    lab.udev()
    disk = lab.dev("n1", 1)
    try:
        lab.ok(f"dd of={disk} conv=fsync 2>&1 && blockdev --rereadpt {disk}", stdin=RECORD)
        lab.ok("udevadm trigger; udevadm settle", timeout=90)
        assert "-part1" in lab.ok("ls /dev/disk/by-id/wwn-0x6001405*")
        node = nodes(lab)[0]
        node.devices = ["/dev/disk/by-id/wwn-0x6001405*"]
        assert node.run("on", "n1") == ON
        assert members(lab) == [[1], [1]]
        node.devices = ["/dev/disk/by-id/wwn-0x6001405*-part?"]
        said = node.run("monitor")
        assert said.code == 1 and "-part?' matches no disk" in said.err
    finally:
        wipe(lab)
        lab.ok("udevadm trigger; udevadm settle", timeout=90)


def test_a_lost_link_does_not_shrink_the_set(lab: Lab) -> None:
    """The SCSI device goes, and its link with it: nothing is called done without that LU."""
    lab.udev()
    n1, _, _ = joined(lab)
    n1.devices = [links(lab, "n1")]
    assert n1.run("on", "n1").code == 0
    path = lab.path("n1", 1)
    lab.ok(f"echo 1 >/sys/class/scsi_device/{path.address}/device/delete; udevadm settle")
    try:
        link = lab.ok(f"ls {links(lab, 'n1')}").split()
        assert len(link) == 1, "udev has not removed the link"
        gone = f"{link[0][:-1]}1"
        for action in ("off", "status", "list-status", "monitor", "on"):
            said = n1.run(action, "n1" if action == "on" else "n2")
            assert said.code == 1 and f"device {gone}: is not there" in said.err, said
            assert f"{gone}: not there any more, and stays in the set" in said.err
        assert all(2 in bearing for bearing in members(lab))
        # The way out that the warning names.
        by_pattern, n1.devices = n1.devices, link
        assert n1.run("on", "n1").code == 0
        n1.devices = by_pattern
        assert n1.run("on", "n1").code == 0
        assert n1.run("off", "n2") == (0, "Success: Powered OFF\n", "")
        assert [number("n2") in bearing for bearing in members(lab)] == [False, True]
    finally:
        lab._rescan()
        lab.ok("udevadm settle")
