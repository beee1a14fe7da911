"""Target: what the kernel says of devices in sysfs.

An input is the contents of attributes, separated by the two bytes FEh FFh:
state, vendor, dev of a slave, device-mapper's uuid, vpd_pg83, isid and
initiator name of a session, port name of a host, and the names in the tree.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from fence_prbarrier import devices, finding
from fence_prbarrier.devices import Place, last_identity
from fence_prbarrier.errors import DeviceError
from fence_prbarrier.transport import sysfs
from fence_prbarrier.transport.sysfs import Node

from . import oracle
from .checks import Refused, attempt, require
from .ground import SCRATCH

SEPARATOR = b"\xfe\xff"
MAP, DISK = (253, 0), (8, 0)
FIELDS = 8
# The tree as it stands: to make all of it anew for each input takes most of the time.
GROWN: dict[str, bytes] = {}


def _name(field: bytes, otherwise: str) -> str:
    """One name of the tree, if these bytes can be one."""
    name = os.fsdecode(field[:60].replace(b"\0", b"").replace(b"/", b""))
    return otherwise if name in ("", ".", "..") else name


def _plant(root: str, device: str, contents: Iterable[str]) -> None:
    """A tree of these names, every attribute empty."""
    shutil.rmtree(root, ignore_errors=True)
    for path in contents:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        SCRATCH.file(path, b"")
    entry = f"{root}/dev/block/{DISK[0]}:{DISK[1]}"
    os.makedirs(entry)
    os.symlink(device, f"{entry}/device")
    GROWN.clear()
    GROWN.update(dict.fromkeys(contents, b""))


def _grow(root: str, fields: list[bytes]) -> Node:
    state, vendor, number, uuid, page, isid, initiator, port = fields[:FIELDS]
    session = _name(fields[FIELDS] if len(fields) > FIELDS else b"", "session1")
    disk = _name(fields[FIELDS + 1] if len(fields) > FIELDS + 1 else b"", "sda")
    device = f"{root}/devices/platform/host0/{session}/target0/0:0:0:0"
    contents = {
        f"{device}/state": state,
        f"{device}/vendor": vendor,
        f"{device}/model": vendor[::-1],
        f"{device}/vpd_pg83": page,
        f"{device}/block/{disk}/dev": number,
        f"{root}/class/iscsi_session/{session}/isid": isid,
        f"{root}/class/iscsi_session/{session}/initiatorname": initiator,
        f"{root}/class/fc_host/host0/port_name": port,
        f"{root}/dev/block/{MAP[0]}:{MAP[1]}/dm/uuid": uuid,
        f"{root}/dev/block/{MAP[0]}:{MAP[1]}/slaves/{disk}/dev": number,
    }
    if set(GROWN) != set(contents):
        _plant(root, device, contents)
    for path, content in contents.items():
        if GROWN[path] != content:
            SCRATCH.file(path, content)
            GROWN[path] = content
    return Node("/dev/sda", "block", os.makedev(*DISK), device)


def device_tree(data: bytes) -> None:
    """Every attribute of any content: words, or nothing, or an error that names the device."""
    fields = data.split(SEPARATOR)
    fields += [b""] * (FIELDS - len(fields))
    root = SCRATCH.path("sys")
    before, sysfs.SYSFS = sysfs.SYSFS, root
    finding_before, finding.SYSFS = finding.SYSFS, root
    try:
        node = _grow(root, fields)
        _check(node, fields[4])
        directory = f"{root}/dev/block/{MAP[0]}:{MAP[1]}"
        paths = attempt(lambda: sysfs._paths_of_map(directory), DeviceError)
        if not isinstance(paths, Refused):
            require(fields[3].strip().startswith(b"mpath-"), "a map that is none", fields[3])
            require(all(each.device for each in paths), "a path to nothing", paths)
            major, minor = (int(each) for each in fields[2].split(b":"))
            require({each.number for each in paths} == {os.makedev(major, minor)}, "other", fields)
        finding._is_mapped_partition(directory)
    finally:
        sysfs.SYSFS, finding.SYSFS = before, finding_before


def _check(node: Node, page: bytes) -> None:
    for text in (node.state, node.vendor, node.product, node.initiator, node.session, node.nexus):
        require("\0" not in node.session and isinstance(text, str), "no text", text)
    sibling = node.sibling()
    require(sibling is None or sibling.device == node.device, "another", sibling)
    name = last_identity(Place("/dev/sda", "/dev/sda", node))
    told = oracle.designators(page[: sysfs.MAX_ATTRIBUTE_BYTES], sysfs.MAX_ATTRIBUTE_BYTES)
    require(not name or told, "an identity from a page that has none", name, page)
    require(name.isprintable() and len(name) < 1024, "no word", name)
    if node.state != sysfs.RUNNING:
        opened = attempt(
            lambda: devices._open_node(Place("/dev/sda", "x", node), node), DeviceError
        )
        require(isinstance(opened, Refused), "a path that does not run was opened", node.state)
