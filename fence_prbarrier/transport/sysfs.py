"""Device nodes as sysfs describes them: what kind, which SCSI device, in what state.

Reads sysfs only; no device is opened here.
"""

from __future__ import annotations

import os
import stat

from ..errors import DeviceError

SYSFS = "/sys"
RUNNING = "running"
MAX_ATTRIBUTE_BYTES = 4096
SCSI_KINDS = (
    "expected a block, sg or bsg node of a whole SCSI disk, a multipath device, or mock:FILE"
)
# How device-mapper's uuid of a multipath map begins (multipath-tools, libmultipath/devmapper.c).
MULTIPATH_UUID = "mpath-"
# A map's partition, made by kpartx: part1-mpath-..., or part1-LVM-... of something else.
MAPPED_PARTITION_UUID = "part"


class Node:
    """A device node that sysfs shows to be one path to one SCSI LU.

    ``number`` is st_rdev, ``device`` the sysfs directory of the SCSI device.
    """

    __slots__ = ("path", "kind", "number", "device")

    def __init__(self, path: str, kind: str, number: int, device: str) -> None:
        self.path = path
        self.kind = kind
        self.number = number
        self.device = device

    @property
    def state(self) -> str:
        """The kernel's state of this path, "running" if it may be used."""
        return read_attribute(os.path.join(self.device, "state"))

    @property
    def nexus(self) -> str:
        """This path and no other of this boot.

        The directory's inode tells it from one of the same name that was there
        before: numbers of hosts and of SCSI devices are used again.
        """
        try:
            return f"{self.device}#{os.stat(self.device).st_ino}"
        except OSError:
            return self.device  # it went away; the next command will say so

    @property
    def session(self) -> str:
        """What this path shares with those to other LUs by the same I_T nexus: hangs, above all."""
        return os.path.dirname(self.device)

    @property
    def initiator(self) -> str:
        """The initiator port, in the words of scsi/transport_id.py; empty where it is not told.

        Fibre Channel's host has one; iscsi_tcp tells the initiator's name and no
        ISID, so which of its sessions a registration belongs to stays open.
        """
        parts = self.device.split("/")
        for part in parts:
            if part.startswith("session") and part[7:].isdigit():
                folder = os.path.join(SYSFS, "class/iscsi_session", part)
                isid = read_attribute(os.path.join(folder, "isid"))
                name = read_attribute(os.path.join(folder, "initiatorname"))
                return f"{name},i,0x{isid}" if name and isid else name
            if part.startswith("rport-"):
                host = parts[parts.index(part) - 1]
                name = read_attribute(os.path.join(SYSFS, "class/fc_host", host, "port_name"))
                return f"wwpn.{name[2:].rjust(16, '0')}" if name.startswith("0x") else ""
        return ""

    @property
    def identification(self) -> bytes:
        """VPD page 83h as the kernel read it when it found the device; empty if it has none."""
        try:
            with open(os.path.join(self.device, "vpd_pg83"), "rb") as file:
                return file.read(MAX_ATTRIBUTE_BYTES)
        except OSError:
            return b""

    @property
    def vendor(self) -> str:
        """INQUIRY's vendor as the kernel read it when it found the device."""
        return read_attribute(os.path.join(self.device, "vendor"))

    @property
    def product(self) -> str:
        """INQUIRY's product as the kernel read it when it found the device."""
        return read_attribute(os.path.join(self.device, "model"))

    def sibling(self) -> Node | None:
        """A block or sg node of the same path."""
        for kind, folder in (("block", "block"), ("sg", "scsi_generic")):
            try:
                names = os.listdir(os.path.join(self.device, folder))
            except OSError:
                continue  # no driver of that kind is bound; the caller says if none is
            for name in names:
                number = _number(os.path.join(self.device, folder, name))
                if number is not None:
                    return Node(os.path.join("/dev", name), kind, number, self.device)
        return None


def read_attribute(path: str) -> str:
    """A sysfs attribute without blanks at its ends; empty where it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_ATTRIBUTE_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""  # no caller takes "" for a good answer


def _number(directory: str) -> int | None:
    """A device's number, MAJOR:MINOR in its ``dev``; None where that is not there, or no number."""
    parts = read_attribute(os.path.join(directory, "dev")).split(":")
    if len(parts) != 2 or not all(_is_plain(part) for part in parts):
        return None
    return os.makedev(int(parts[0]), int(parts[1]))


def _is_plain(text: str) -> bool:
    # isdigit() alone would let digits pass that int() does not know.
    return text.isascii() and text.isdigit() and len(text) < 10


def find_nodes(path: str) -> list[Node]:
    """Every path that a name stands for; DeviceError says what the name is instead.

    A dm-multipath map stands for its paths, and so does each of its paths: whoever
    names one of them has not named the others, by which a node could write too.
    """
    found = _stat(path)
    if stat.S_ISBLK(found.st_mode):
        directory = _directory("block", found.st_rdev)
        if os.path.isdir(os.path.join(directory, "dm")):
            return _paths_of_map(directory)
    node = _node(path, found)
    nodes = [node]
    for disk in _names(os.path.join(node.device, "block")):
        holders = os.path.join(node.device, "block", disk, "holders")
        for holder in _names(holders):
            if _uuid(os.path.join(holders, holder)).startswith(MULTIPATH_UUID):
                nodes += _paths_of_map(os.path.join(holders, holder))
    # The node that was named first, then those that it does not stand for itself.
    return nodes[:1] + [each for each in nodes if each.device != node.device]


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except FileNotFoundError:
        raise DeviceError(f"is not there; {SCSI_KINDS}") from None
    except OSError as error:
        raise DeviceError(f"cannot be looked at: {error.strerror}; {SCSI_KINDS}") from None


def _node(path: str, found: os.stat_result) -> Node:
    if stat.S_ISBLK(found.st_mode):
        return _block(path, found.st_rdev)
    if stat.S_ISCHR(found.st_mode):
        return _character(path, found.st_rdev)
    what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a device"
    if stat.S_ISREG(found.st_mode):
        what = "a file, not a device (a simulated LU is named mock:FILE)"
    raise DeviceError(f"is {what}; {SCSI_KINDS}")


def _names(directory: str) -> list[str]:
    """What stands in a directory, in order; nothing where it is not there."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []  # no such driver
    except OSError as error:
        raise DeviceError(f"its paths are not known: {directory}: {error.strerror}") from None


def _uuid(directory: str) -> str:
    """device-mapper's own name of a device, which tells what made it."""
    return read_attribute(os.path.join(directory, "dm", "uuid"))


def _paths_of_map(directory: str) -> list[Node]:
    """The SCSI disks below a device-mapper device, if it is a multipath map."""
    uuid = _uuid(directory)
    if uuid.startswith(MAPPED_PARTITION_UUID):
        raise DeviceError("is a partition; reservations are of the whole disk: name the disk")
    if not uuid.startswith(MULTIPATH_UUID):
        raise DeviceError(
            f"is a device-mapper device and no multipath map (its uuid is {uuid or 'empty'!r});"
            " name the disks below it"
        )
    nodes = []
    for name in _names(os.path.join(directory, "slaves")):
        number = _number(os.path.join(directory, "slaves", name))
        if number is None:
            raise DeviceError(f"its path {name} went away while its paths were read; try again")
        nodes.append(_block(os.path.join("/dev", name), number))
    if not nodes:
        raise DeviceError("is a multipath map without any path; bring a path back")
    return nodes


def _directory(kind: str, number: int) -> str:
    return os.path.join(SYSFS, "dev", kind, f"{os.major(number)}:{os.minor(number)}")


def _block(path: str, number: int) -> Node:
    directory = _directory("block", number)
    if not os.path.isdir(directory):
        raise DeviceError(
            f"is block device {os.major(number)}:{os.minor(number)}, unknown to the"
            " kernel: it was removed, or the node is stale"
        )
    if os.path.exists(os.path.join(directory, "partition")):
        raise DeviceError("is a partition; reservations are of the whole disk: name the disk")
    if os.path.isdir(os.path.join(directory, "dm")):
        raise DeviceError("is a device-mapper device; one SCSI disk is expected")
    return _scsi(path, "block", number, directory)


def _character(path: str, number: int) -> Node:
    directory = _directory("char", number)
    subsystem = os.path.basename(os.path.realpath(os.path.join(directory, "subsystem")))
    kinds = {"scsi_generic": "sg", "bsg": "bsg"}
    if subsystem not in kinds:
        raise DeviceError(f"is a character device of another kind; {SCSI_KINDS}")
    return _scsi(path, kinds[subsystem], number, directory)


def _scsi(path: str, kind: str, number: int, directory: str) -> Node:
    device = os.path.realpath(os.path.join(directory, "device"))
    if not os.path.exists(os.path.join(device, "vendor")):
        raise DeviceError(f"is not a SCSI device; {SCSI_KINDS}")
    return Node(path, kind, number, device)
