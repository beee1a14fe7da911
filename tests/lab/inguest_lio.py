"""The target (LIO, by configfs) and its initiators, inside the guest, for the resident agent."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CONFIG = Path("/sys/kernel/config/target")
DISKS = Path("/run/lab/disks")
APTPL = Path("/var/target/pr")
TARGET = "iqn.2020-01.org.example:san"
TPG = CONFIG / "iscsi" / TARGET / "tpgt_1"
MODULES = (
    "configfs target_core_mod target_core_file target_core_iblock iscsi_target_mod "
    "iscsi_tcp sd_mod sg dm-mod dm-delay loop"
)
SECTOR = 512
GENERATE_ACLS = {
    "authentication": 0,
    "generate_node_acls": 1,
    "demo_mode_write_protect": 0,
    "cache_dynamic_acls": 1,
}


def run(*words: str) -> str:
    """Run a program that has to succeed."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise OSError(f"{words}: exit code {done.returncode}: {done.stdout}")
    return done.stdout


def put(path: Path, value: object) -> None:
    """Write one attribute; the kernel takes or refuses it as a whole."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def get(path: Path) -> str:
    """Read one attribute, or '' where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def prepare(initiators: dict[str, dict[str, str]], settings: dict[str, object]) -> None:
    """Load the modules, start iscsid and write the records of the initiators.

    `initiators`: iface name -> {"name": IQN, "address": portal}. Writing the
    records by hand saves a dozen runs of iscsiadm, about 2 s.
    """
    run("modprobe", "-a", *MODULES.split())
    run("mount", "-t", "configfs", "configfs", "/sys/kernel/config")
    for directory in (CONFIG / "iscsi", DISKS, APTPL):
        directory.mkdir(parents=True, exist_ok=True)
    etc = Path("/etc/iscsi")
    (etc / "ifaces").mkdir(parents=True, exist_ok=True)
    (etc / "iscsid.conf").write_text("node.startup = manual\n")
    (etc / "initiatorname.iscsi").write_text("InitiatorName=iqn.2020-01.org.example:nobody\n")
    for iface, where in initiators.items():
        run("ip", "addr", "add", f"{where['address']}/32", "dev", "lo")
        lines = [
            f"iface.iscsi_ifacename = {iface}",
            "iface.transport_name = tcp",
            f"iface.initiatorname = {where['name']}",
        ]
        record = [f"node.name = {TARGET}", "node.tpgt = -1", "node.startup = manual", *lines]
        record += [f"{key} = {value}" for key, value in settings.items()]
        record += [f"node.conn[0].address = {where['address']}", "node.conn[0].port = 3260"]
        node = etc / "nodes" / TARGET / f"{where['address']},3260"
        node.parent.mkdir(parents=True, exist_ok=True)
        for file, content in ((etc / "ifaces" / iface, lines), (node, record)):
            text = "\n".join(["# BEGIN RECORD 2.1.8", *content, "# END RECORD", ""])
            file.write_text(text)
    run("iscsid")


def _backstore(unit: dict[str, Any]) -> Path:
    plugin = "fileio" if unit["delay_ms"] is None else "iblock"
    return CONFIG / "core" / f"{plugin}_{unit['index']}" / str(unit["name"])


def _mapper(unit: dict[str, Any]) -> str:
    return f"lab-{unit['name']}"


def delay(unit: dict[str, Any], write_ms: int, read_ms: int = 0) -> None:
    """Set how long a delayed LU's writes (and reads) take to reach the medium."""
    loop = run("losetup", "-n", "-O", "NAME", "-j", str(DISKS / unit["name"])).strip()
    sectors = unit["bytes"] // SECTOR
    table = f"0 {sectors} delay {loop} 0 {read_ms} {loop} 0 {write_ms}"
    # Ask sysfs: without udev the node of a device that is gone stays.
    if _mapper(unit) in map(get, Path("/sys/block").glob("dm-*/dm/name")):
        run("dmsetup", "reload", _mapper(unit), "--table", table)
        run("dmsetup", "resume", _mapper(unit))
    else:
        run("dmsetup", "create", _mapper(unit), "--noudevsync", "--table", table)
        run("dmsetup", "mknodes", _mapper(unit))


def _create_backstore(unit: dict[str, Any]) -> None:
    file = DISKS / unit["name"]
    if not file.exists():
        with open(file, "wb") as disk:
            disk.truncate(unit["bytes"])
    store = _backstore(unit)
    store.mkdir(parents=True)
    if unit["delay_ms"] is None:
        put(store / "control", f"fd_dev_name={file},fd_dev_size={unit['bytes']}")
    else:
        if not run("losetup", "-n", "-O", "NAME", "-j", str(file)).strip():
            run("losetup", "-f", str(file))
        delay(unit, unit["delay_ms"])
        put(store / "control", f"udev_path=/dev/mapper/{_mapper(unit)}")
    put(store / "enable", 1)
    put(store / "wwn/vpd_unit_serial", unit["serial"])


def saved_registrations(serial: str) -> list[str]:
    """Return a LU's APTPL registrations in the form in which configfs takes them back.

    The target's file has one `name=value` a line between PR_REG_START and
    PR_REG_END; res_aptpl_metadata takes each registration as one comma-separated line.
    """
    registrations: list[str] = []
    current: list[str] = []
    for line in get(APTPL / f"aptpl_{serial}").splitlines():
        if line.startswith("PR_REG_START:"):
            current = []
        elif line.startswith("PR_REG_END:"):
            registrations.append(",".join(current))
        elif "=" in line:
            current.append(line.strip())
    return registrations


def add_unit(unit: dict[str, Any], restore: bool = False, known: Iterable[str] = ()) -> int:
    """Create a LU and export it; return how many registrations were written back.

    `known` initiators get an ACL of their own. LIO puts a registration that was
    written back into force once its initiator has an ACL; without one made here
    that is only when the initiator logs in again.
    """
    _create_backstore(unit)
    saved = saved_registrations(unit["serial"]) if restore else []
    for line in saved:
        put(_backstore(unit) / "pr/res_aptpl_metadata", line)
    if not restore:
        with contextlib.suppress(FileNotFoundError):
            (APTPL / f"aptpl_{unit['serial']}").unlink()
    lun = TPG / "lun" / f"lun_{unit['index']}"
    lun.mkdir()
    (lun / "backstore").symlink_to(_backstore(unit))
    for initiator in known:
        mapped = TPG / "acls" / initiator / lun.name
        mapped.mkdir(parents=True)
        (mapped / "unit").symlink_to(lun)
    return len(saved)


def remove_unit(unit: dict[str, Any], forget: bool = True) -> None:
    """Take a LU away; with `forget` also its medium."""
    lun = TPG / "lun" / f"lun_{unit['index']}"
    for mapped in TPG.glob(f"acls/*/{lun.name}"):
        (mapped / "unit").unlink()
        mapped.rmdir()
    (lun / "backstore").unlink()
    lun.rmdir()
    store = _backstore(unit)
    store.rmdir()
    store.parent.rmdir()
    if unit["delay_ms"] is not None:
        run("dmsetup", "remove", "--noudevsync", _mapper(unit))
        run("dmsetup", "mknodes")
        if forget:
            file = str(DISKS / unit["name"])
            run("losetup", "-d", run("losetup", "-n", "-O", "NAME", "-j", file).strip())
    if forget:
        (DISKS / unit["name"]).unlink()


def target_up(units: list[dict[str, Any]], restore: bool = False, known: Iterable[str] = ()) -> int:
    """Set the whole target up; return how many registrations were written back."""
    TPG.mkdir(parents=True)
    restored = sum(add_unit(unit, restore, known) for unit in units)
    for name, value in GENERATE_ACLS.items():
        put(TPG / "attrib" / name, value)
    (TPG / "np/0.0.0.0:3260").mkdir()
    put(TPG / "enable", 1)
    return restored


def target_down(units: list[dict[str, Any]]) -> None:
    """Tear the whole target down: its power is gone."""
    put(TPG / "enable", 0)
    (TPG / "np/0.0.0.0:3260").rmdir()
    for unit in units:
        remove_unit(unit, forget=False)
    for acl in TPG.glob("acls/*"):
        acl.rmdir()
    TPG.rmdir()
    TPG.parent.rmdir()


def _only(paths: Iterable[Path]) -> str | None:
    """Return the name of the one entry, or None where there is none yet."""
    return next((path.name for path in paths), None)


def devices() -> list[dict[str, Any]]:
    """Return every path: initiator, LUN, nodes, SCSI address, states."""
    found = []
    for session in Path("/sys/class/iscsi_session").glob("session*"):
        for device in (session / "device").glob("target*/*:*:*:*"):
            block = _only((device / "block").glob("*"))
            generic = _only((device / "scsi_generic").glob("*"))
            found.append(
                {
                    "iface": get(session / "ifacename"),
                    "session": session.name,
                    "session_state": get(session / "state"),
                    "address": device.name,
                    "lun": int(device.name.rpartition(":")[2]),
                    "block": block and f"/dev/{block}",
                    "sg": generic and f"/dev/{generic}",
                    "bsg": f"/dev/bsg/{device.name}",
                    "state": get(device / "state"),
                }
            )
    return found


def wait_devices(ifaces: list[str], luns: list[int], seconds: float) -> list[dict[str, Any]]:
    """Wait until every initiator has running nodes for every LU."""
    deadline = time.monotonic() + seconds
    while True:
        table = devices()
        good = {
            (path["iface"], path["lun"])
            for path in table
            if path["block"]
            and path["sg"]
            and path["state"] == "running"
            and path["session_state"] == "LOGGED_IN"
            and os.path.exists(path["block"])
        }
        missing = [(i, n) for i in ifaces for n in luns if (i, n) not in good]
        if not missing:
            return table
        if time.monotonic() > deadline:
            raise TimeoutError(f"not there: {missing}; there: {table}")
        time.sleep(0.02)
