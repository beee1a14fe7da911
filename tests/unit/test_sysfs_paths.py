"""Maps to paths, and paths to nexuses, on a false /sys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fence_prbarrier.devices import last_identity, places_of
from fence_prbarrier.errors import DeviceError
from fence_prbarrier.transport.sysfs import find_nodes

from .test_sysfs import NAA, FalseSys, false_sys

__all__ = ["false_sys"]

SDA, SDB, SG0, DM0, DM1 = (8, 0), (8, 16), (21, 0), (253, 0), (253, 1)
MPATH = "mpath-36001405abcdef"


class Fabric(FalseSys):
    """Two disks below a map, as the kernel shows them."""

    @classmethod
    def of(cls, false: FalseSys) -> Fabric:
        false.__class__ = cls
        assert isinstance(false, cls)
        return false

    def disk(self, name: str, number: tuple[int, int], session: int, map_: str = "dm-0") -> Path:
        folder = self.root / f"devices/platform/host{session}/session{session}/target/{name}"
        (folder / "block" / name / "holders").mkdir(parents=True)
        for attribute, text in {"vendor": "LIO-ORG", "model": "d", "state": "running"}.items():
            (folder / attribute).write_text(text + "\n")
        (folder / "vpd_pg83").write_bytes(NAA)
        (folder / "block" / name / "dev").write_text("{}:{}\n".format(*number))
        self.entry("block", number, folder)
        if map_:
            (folder / "block" / name / "holders" / map_).symlink_to(self.root / "block" / map_)
            slaves = self.root / "block" / map_ / "slaves"
            slaves.mkdir(parents=True, exist_ok=True)
            (slaves / name).symlink_to(folder / "block" / name)
        self.node(f"/dev/{name}", stat.S_IFBLK, number)
        return folder

    def map(self, name: str, number: tuple[int, int], uuid: str) -> str:
        """A device-mapper device; by a name of its own, as below /dev/mapper."""
        folder = self.root / "block" / name
        (folder / "dm").mkdir(parents=True)
        (folder / "slaves").mkdir(exist_ok=True)
        (folder / "dm" / "uuid").write_text(uuid + "\n")
        (self.root / "dev/block").mkdir(parents=True, exist_ok=True)
        (self.root / "dev/block" / "{}:{}".format(*number)).symlink_to(folder)
        return self.node(f"/dev/mapper/{name}", stat.S_IFBLK, number)


@pytest.fixture
def fabric(false_sys: FalseSys) -> Fabric:
    made = Fabric.of(false_sys)
    made.map("dm-0", DM0, MPATH)
    made.disk("sda", SDA, 1)
    made.disk("sdb", SDB, 2)
    return made


def test_a_map_stands_for_its_paths(fabric: Fabric) -> None:
    places = places_of("/dev/mapper/dm-0")
    assert [(each.listed, each.name) for each in places] == [
        ("/dev/mapper/dm-0", "/dev/sda of /dev/mapper/dm-0"),
        ("/dev/mapper/dm-0", "/dev/sdb of /dev/mapper/dm-0"),
    ]
    assert [last_identity(each) for each in places] == ["naa.6001405123456789"] * 2
    assert len({each.session for each in places}) == 2


def test_one_of_its_paths_stands_for_all(fabric: Fabric) -> None:
    """The one that is named comes first, under its own name."""
    assert [each.name for each in places_of("/dev/sdb")] == ["/dev/sdb", "/dev/sda of /dev/sdb"]


def test_a_generic_node_of_a_path_stands_for_all(fabric: Fabric) -> None:
    device = fabric.root / "devices/platform/host1/session1/target/sda"
    folder = fabric.entry("char", SG0, device)
    (fabric.root / "class/scsi_generic").mkdir(parents=True)
    (folder / "subsystem").symlink_to(fabric.root / "class/scsi_generic")
    name = fabric.node("/dev/sg0", stat.S_IFCHR, SG0)
    assert [(each.path, each.kind) for each in find_nodes(name)] == [
        ("/dev/sg0", "sg"),
        ("/dev/sdb", "block"),
    ]


def test_a_disk_below_another_kind_of_map_stands_for_itself(false_sys: FalseSys) -> None:
    made = Fabric.of(false_sys)
    made.map("dm-1", DM1, "LVM-abc")
    made.disk("sda", SDA, 1, "dm-1")
    assert [each.name for each in places_of("/dev/sda")] == ["/dev/sda"]


@pytest.mark.parametrize(
    ("uuid", "words"),
    [
        ("part1-" + MPATH, "partition; .*name the disk"),
        ("LVM-abc", "no multipath map .*'LVM-abc'.*name the disks below it"),
        ("", "no multipath map .*'empty'.*name the disks below it"),
        ("xmpath-", "no multipath map"),
    ],
)
def test_other_maps_are_refused(false_sys: FalseSys, uuid: str, words: str) -> None:
    made = Fabric.of(false_sys)
    name = made.map("dm-1", DM1, uuid)
    made.disk("sda", SDA, 1, "dm-1")
    with pytest.raises(DeviceError, match=f"^device {name}: is a .*{words}"):
        places_of(name)


def test_a_map_without_paths_is_refused(false_sys: FalseSys) -> None:
    """Nothing can be asked through it, so nothing is known of it."""
    name = Fabric.of(false_sys).map("dm-0", DM0, MPATH)
    with pytest.raises(DeviceError, match="is a multipath map without any path"):
        places_of(name)


def test_a_path_that_is_gone_from_under_its_map_is_an_error(fabric: Fabric) -> None:
    """A slave that sysfs does not know any more is not left out of the set in silence."""
    (fabric.root / "dev/block/8:16/device").unlink()
    with pytest.raises(DeviceError, match="is not a SCSI device"):
        places_of("/dev/mapper/dm-0")


# --- The initiator port of a path ----------------------------------------------------------------


def test_an_iscsi_initiator(fabric: Fabric) -> None:
    """iscsi_tcp does not tell the ISID; adapters with iSCSI of their own do."""
    (node,) = [each for each in find_nodes("/dev/mapper/dm-0") if each.path == "/dev/sda"]
    assert node.initiator == ""
    folder = fabric.root / "class/iscsi_session/session1"
    folder.mkdir(parents=True)
    (folder / "initiatorname").write_text("iqn.x:n1\n")
    assert node.initiator == "iqn.x:n1"
    (folder / "isid").write_text("00023d000001\n")
    assert node.initiator == "iqn.x:n1,i,0x00023d000001"


@pytest.mark.parametrize(
    ("text", "name"),
    [("0x5001438001234567\n", "wwpn.5001438001234567"), ("0x1\n", "wwpn.0000000000000001")],
)
def test_a_fibre_channel_port(fabric: Fabric, text: str, name: str) -> None:
    node = find_nodes("/dev/sda")[0]
    node.device = f"{fabric.root}/devices/pci0/host7/rport-7:0-1/target7:0:0/7:0:0:0"
    assert node.initiator == ""
    folder = fabric.root / "class/fc_host/host7"
    folder.mkdir(parents=True)
    (folder / "port_name").write_text(text)
    assert node.initiator == name
    assert node.session.endswith("/target7:0:0")
