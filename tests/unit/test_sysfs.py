"""What a device name leads to, on a false /sys: real nodes of real kinds need a kernel's help."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fence_prbarrier import devices
from fence_prbarrier.devices import (
    MAX_DEVICES,
    MAX_PATHS_PER_UNIT,
    group,
    last_identity,
    open_place,
    parse_devices,
    places_of,
)
from fence_prbarrier.errors import DeviceError, InvalidInput
from fence_prbarrier.scsi.identity import name_of_unit, parse_designators
from fence_prbarrier.transport import sysfs
from fence_prbarrier.transport.sgio import SgIo
from fence_prbarrier.transport.sysfs import Node, find_nodes

SDA, SDA1, SG0, BSG0, DM0, LOOP0 = (8, 0), (8, 1), (21, 0), (240, 0), (253, 0), (7, 0)


def find_node(name: str) -> Node:
    """The one path of a name."""
    (node,) = find_nodes(name)
    return node


def open_path(name: str) -> devices.Path:
    """The one path of a name."""
    (place,) = places_of(name)
    return open_place(place, "n1")


def known(name: str) -> str:
    """What the kernel knew of the one path of a name."""
    (place,) = places_of(name)
    return last_identity(place)


class FalseSys:
    """A /sys with what the tests put there, and a stat() that calls names devices."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.nodes: dict[str, os.stat_result] = {}
        patch.setattr(sysfs, "SYSFS", str(root))
        real = os.stat
        patch.setattr(os, "stat", lambda path, **more: self.nodes.get(path) or real(path, **more))

    def node(self, name: str, kind: int, number: tuple[int, int]) -> str:
        fields = list(os.stat("/dev/null"))
        extra = {"st_rdev": os.makedev(*number)}
        self.nodes[name] = os.stat_result([kind | 0o600, *fields[1:10]], extra)
        return name

    def device(self, **attributes: str) -> Path:
        folder = self.root / "devices/target0/0:0:0:0"
        folder.mkdir(parents=True)
        standard = {"vendor": "LIO-ORG ", "model": "disk0           ", "state": "running"}
        for name, text in {**standard, **attributes}.items():
            (folder / name).write_text(text + "\n")
        return folder

    def entry(self, kind: str, number: tuple[int, int], device: Path | None = None) -> Path:
        folder = self.root / "dev" / kind / f"{number[0]}:{number[1]}"
        folder.mkdir(parents=True)
        if device is not None:
            (folder / "device").symlink_to(device)
        return folder


@pytest.fixture
def false_sys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FalseSys:
    return FalseSys(tmp_path, monkeypatch)


def test_a_whole_disk(false_sys: FalseSys) -> None:
    device = false_sys.device()
    false_sys.entry("block", SDA, device)
    node = find_node(false_sys.node("/dev/sda", stat.S_IFBLK, SDA))
    assert (node.kind, node.state, node.vendor, node.product) == (
        "block", "running", "LIO-ORG", "disk0",
    )  # fmt: skip
    assert node.number == os.makedev(*SDA)


@pytest.mark.parametrize(
    ("subsystem", "kind", "number"), [("scsi_generic", "sg", SG0), ("bsg", "bsg", BSG0)]
)
def test_sg_and_bsg_nodes(
    false_sys: FalseSys, subsystem: str, kind: str, number: tuple[int, int]
) -> None:
    folder = false_sys.entry("char", number, false_sys.device())
    (false_sys.root / "class" / subsystem).mkdir(parents=True)
    (folder / "subsystem").symlink_to(false_sys.root / "class" / subsystem)
    assert find_node(false_sys.node("/dev/x", stat.S_IFCHR, number)).kind == kind


def test_a_partition_is_refused(false_sys: FalseSys) -> None:
    """Reservations are of the whole disk."""
    folder = false_sys.entry("block", SDA1, false_sys.device())
    (folder / "partition").write_text("1\n")
    name = false_sys.node("/dev/sda1", stat.S_IFBLK, SDA1)
    with pytest.raises(DeviceError, match=r"^device /dev/sda1: is a partition; .*whole disk"):
        open_path(name)


def test_a_device_mapper_device_is_refused(false_sys: FalseSys) -> None:
    (false_sys.entry("block", DM0) / "dm").mkdir()
    name = false_sys.node("/dev/dm-0", stat.S_IFBLK, DM0)
    with pytest.raises(DeviceError, match=r"/dev/dm-0: is a device-mapper device.*below it"):
        open_path(name)


def test_a_block_device_that_is_no_scsi_disk(false_sys: FalseSys) -> None:
    false_sys.entry("block", LOOP0)
    name = false_sys.node("/dev/loop0", stat.S_IFBLK, LOOP0)
    with pytest.raises(DeviceError, match="/dev/loop0: is not a SCSI device"):
        open_path(name)


def test_a_stale_node(false_sys: FalseSys) -> None:
    """The disk was removed; its node was left."""
    name = false_sys.node("/dev/sda", stat.S_IFBLK, SDA)
    with pytest.raises(DeviceError, match="/dev/sda: is block device 8:0, unknown to the kernel"):
        open_path(name)


@pytest.mark.parametrize("state", ["offline", "transport-offline", "blocked", "quiesce", ""])
def test_a_path_that_is_not_running_gets_no_command(false_sys: FalseSys, state: str) -> None:
    """It is not even opened."""
    false_sys.entry("block", SDA, false_sys.device(state=state))
    name = false_sys.node("/dev/sda", stat.S_IFBLK, SDA)
    with pytest.raises(DeviceError, match=f"/dev/sda: its path is .*{state}.*not running"):
        open_path(name)


def test_a_disk_that_became_another(false_sys: FalseSys, tmp_path: Path) -> None:
    """Between the look at sysfs and the open the name was given to another device."""
    with pytest.raises(DeviceError, match="became another device"):
        SgIo(Node("/dev/null", "block", os.makedev(*SDA), str(tmp_path)))


def test_a_node_that_is_gone_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot be opened: it is not there"):
        SgIo(Node(str(tmp_path / "sda"), "block", os.makedev(*SDA), str(tmp_path)))


def test_a_node_that_is_no_scsi_device_answers_enotty() -> None:
    """The ioctl's own refusal is a completion, not an exception."""
    from fence_prbarrier.scsi.command import test_unit_ready
    from fence_prbarrier.scsi.outcome import UNKNOWN, classify

    command = test_unit_ready()
    path = SgIo(Node("/dev/null", "block", os.stat("/dev/null").st_rdev, ""))
    try:
        found = classify(command, path.execute(command, 100))
        assert (found.verdict, found.detail) == (UNKNOWN, "not a SCSI device (ENOTTY)")
        assert "ENOTTY" in classify(command, path.reset(100)).detail
    finally:
        path.close()
        path.close()


def test_siblings(false_sys: FalseSys) -> None:
    """A bsg node is reset by the block or sg node of the same path."""
    device = false_sys.device()
    (device / "scsi_generic/sg3").mkdir(parents=True)
    (device / "scsi_generic/sg3/dev").write_text("21:3\n")
    sibling = Node("/dev/bsg/0:0:0:0", "bsg", 0, str(device)).sibling()
    assert sibling is not None
    assert (sibling.path, sibling.kind, sibling.number) == ("/dev/sg3", "sg", os.makedev(21, 3))
    (device / "block/sdq").mkdir(parents=True)
    (device / "block/sdq/dev").write_text("65:0\n")
    sibling = Node("/dev/bsg/0:0:0:0", "bsg", 0, str(device)).sibling()
    assert sibling is not None and sibling.path == "/dev/sdq"
    assert Node("/dev/x", "bsg", 0, str(false_sys.root)).sibling() is None


# --- Names to paths, paths to LUs ----------------------------------------------------------------


def test_names_by_commas_or_blanks_each_once() -> None:
    assert parse_devices(" /dev/a,/dev/b  /dev/c\t/dev/a,, ") == ["/dev/a", "/dev/b", "/dev/c"]
    with pytest.raises(InvalidInput, match=str(MAX_DEVICES)):
        parse_devices(" ".join(f"/dev/{n}" for n in range(MAX_DEVICES + 1)))


class _Closed:
    closed = False

    def close(self) -> None:
        self.closed = True


def _path(name: str, nexus: str) -> devices.Path:
    return devices.Path(name, _Closed(), nexus)  # type: ignore[arg-type]


def test_paths_are_grouped_by_identity_in_its_order() -> None:
    found = [("naa.2", _path("/dev/c", "c")), ("naa.1", _path("/dev/b", "b")),
             ("naa.2", _path("/dev/a", "a"))]  # fmt: skip
    units = group(found)
    assert [(unit.name, unit.paths, [p.name for p in paths]) for unit, paths in units] == [
        ("naa.1", 1, ["/dev/b"]),
        ("naa.2", 2, ["/dev/c", "/dev/a"]),
    ]
    assert units[1][0].label == "naa.2 (/dev/c, /dev/a)"


def test_two_names_of_one_nexus_are_one_path() -> None:
    block, generic = _path("/dev/sda", "0:0:0:0"), _path("/dev/sg0", "0:0:0:0")
    ((unit, paths),) = group([("naa.1", block), ("naa.1", generic)])
    assert (unit.paths, paths) == (1, [block])
    assert generic.transport.closed and not block.transport.closed  # type: ignore[attr-defined]


def test_too_many_paths() -> None:
    paths = [("naa.1", _path(f"/dev/{n}", str(n))) for n in range(MAX_PATHS_PER_UNIT + 1)]
    with pytest.raises(InvalidInput, match=r"naa\.1 has 33 paths, at most 32"):
        group(paths)


# --- What the kernel knew of a path that is lost --------------------------------------------------

NAA = bytes.fromhex("0083000c 01030008 60014051 23456789")


def _known(false_sys: FalseSys, page: bytes | None, **attributes: str) -> str:
    device = false_sys.device(**attributes)
    false_sys.entry("block", SDA, device)
    if page is not None:
        (device / "vpd_pg83").write_bytes(page)
    return false_sys.node("/dev/sda", stat.S_IFBLK, SDA)


@pytest.mark.parametrize("state", ["running", "offline", "transport-offline", "blocked"])
def test_the_kernels_copy_of_the_identity(false_sys: FalseSys, state: str) -> None:
    """Without a command, so whatever state the path is in."""
    name = _known(false_sys, NAA, state=state)
    assert find_node(name).identification == NAA
    assert known(name) == name_of_unit(parse_designators(NAA, len(NAA)))
    assert known(name).startswith("naa.6001405")


@pytest.mark.parametrize("page", [None, b"", NAA[:3], NAA[:-1], b"\0" * 12, b"\xff" * 64])
def test_a_copy_that_cannot_be_understood_is_no_identity(
    false_sys: FalseSys, page: bytes | None
) -> None:
    assert known(_known(false_sys, page)) == ""


def test_no_identity_where_the_kernel_has_no_such_device(false_sys: FalseSys) -> None:
    stale = false_sys.node("/dev/sdb", stat.S_IFBLK, SDA1)
    assert known("mock:/tmp/x") == ""
    for name in (stale, "/dev/not-there", "sda", str(false_sys.root)):
        with pytest.raises(DeviceError, match=f"^device {name}: "):
            places_of(name)


def test_a_nexus_is_not_taken_for_one_that_was_there_before(false_sys: FalseSys) -> None:
    """Numbers of hosts and devices are used again; the directory is another one then."""
    name = _known(false_sys, NAA)
    before = find_node(name).nexus
    assert find_node(name).nexus == before
    folder = Path(find_node(name).device)
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.mkdir()
    (folder / "vendor").write_text("LIO-ORG\n")
    assert find_node(name).nexus != before
    assert find_node(name).nexus.partition("#")[0] == before.partition("#")[0]


def test_whether_a_path_is_running_is_asked_anew(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("running\n")
    path = SgIo(Node("/dev/null", "block", os.stat("/dev/null").st_rdev, str(tmp_path)))
    try:
        assert path.running
        (tmp_path / "state").write_text("blocked\n")
        assert not path.running
        (tmp_path / "state").unlink()
        assert not path.running
    finally:
        path.close()
