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
SCSI_KINDS = "expected a block, sg or bsg node of a whole SCSI disk, or mock:FILE"


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
                number = read_attribute(os.path.join(self.device, folder, name, "dev"))
                major, _, minor = number.partition(":")
                if minor.isdigit():
                    device_number = os.makedev(int(major), int(minor))
                    return Node(os.path.join("/dev", name), kind, device_number, self.device)
        return None


def read_attribute(path: str) -> str:
    """A sysfs attribute without blanks at its ends; empty where it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_ATTRIBUTE_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""  # no caller takes "" for a good answer


def find_node(path: str) -> Node:
    """The node behind a name; DeviceError says what the name is instead."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise DeviceError(f"is not there; {SCSI_KINDS}") from None
    except OSError as error:
        raise DeviceError(f"cannot be looked at: {error.strerror}; {SCSI_KINDS}") from None
    if stat.S_ISBLK(found.st_mode):
        return _block(path, found.st_rdev)
    if stat.S_ISCHR(found.st_mode):
        return _character(path, found.st_rdev)
    what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a device"
    if stat.S_ISREG(found.st_mode):
        what = "a file, not a device (a simulated LU is named mock:FILE)"
    raise DeviceError(f"is {what}; {SCSI_KINDS}")


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
        raise DeviceError("is a device-mapper device; name the SCSI disks below it")
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
