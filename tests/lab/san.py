"""A storage network in one guest: a LIO target, and initiators n1, n2 and n3.

Each initiator logs in under a name of its own through an address of its own
(on the guest's loopback), so each LU shows up three times, once for each I_T
nexus, and one initiator's path can be cut without touching the others.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from .guest import REPO, Guest, Job, LabError, Result
from .model import INITIATORS, PORTAL, TARGET, Direct, Reply, ScsiPath, Unit, typed_paths, unit

__all__ = ["INITIATORS", "PORTAL", "TARGET", "Lab", "LabError", "Unit", "unit"]

# Seconds. Ours are open-iscsi's own defaults, but for the replacement time-out, which is
# set to PATH_DEATH_S on the path that is about to be cut.
SETTINGS: dict[str, object] = {
    "node.session.timeo.replacement_timeout": 120,
    "node.conn[0].timeo.noop_out_interval": 5,
    "node.conn[0].timeo.noop_out_timeout": 5,
}
PATH_DEATH_S = 1
CUT_TIMEOUT_S = 30.0
RECOVERY_TIMEOUT_S = 60.0


class Lab:
    """The laboratory: one guest with its storage network. The API of the tests."""

    def __init__(self, units: int | Sequence[Unit] = 2, memory_mb: int = 512) -> None:
        """Prepare; `start` boots."""
        self.guest = Guest(memory_mb=memory_mb)
        self.units = [unit(i) for i in range(units)] if isinstance(units, int) else list(units)
        self.repo: Path = REPO
        self._paths: list[ScsiPath] | None = None
        self._cut: dict[str, str] = {}
        self._threads = ThreadPoolExecutor()
        self._udev = False
        self.scans = 0  # after each, a device may be another one of the same name

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def start(self) -> None:
        """Boot, set the target up, log all initiators in."""
        try:
            self.guest.start()
            where = {
                iface: {"name": self.initiator_name(iface), "address": self.address(iface)}
                for iface in INITIATORS
            }
            self.guest.call("prepare", initiators=where, settings=SETTINGS)
            self.guest.call("target_up", units=[asdict(u) for u in self.units])
            self.ok("iscsiadm -m node --login", timeout=60)
            self._await_paths()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Pull the plug of everything."""
        self.guest.end()
        self._threads.shutdown(wait=False)  # what still waits finds that the guest is gone

    # -- commands ---------------------------------------------------------------

    def sh(
        self,
        script: str,
        timeout: float = 30.0,
        stdin: str | bytes = b"",
        cwd: str | Path | None = None,
    ) -> Result:
        """Run a bash script in the guest: (exit code, output of 1 and 2 together)."""
        return self.guest.sh(script, timeout, stdin, cwd)

    def ok(self, script: str, timeout: float = 30.0, stdin: str | bytes = b"") -> str:
        """Run a script that has to succeed; return its output."""
        return self.guest.ok(script, timeout, stdin)

    def spawn(self, script: str, stdin: str | bytes = b"", cwd: str | Path | None = None) -> Job:
        """Start a script and return at once; `Job.wait`, `.running`, `.kill`."""
        return self.guest.spawn(script, stdin, cwd)

    # -- names and devices --------------------------------------------------------

    @staticmethod
    def initiator_name(iface: str) -> str:
        """Return the iSCSI name of an initiator."""
        return f"iqn.2020-01.org.example:{iface}"

    @staticmethod
    def address(iface: str) -> str:
        """Return the address through which an initiator, and it alone, reaches the target."""
        return f"10.77.0.{10 + int(iface[1:])}"

    def paths(self, fresh: bool = False) -> list[ScsiPath]:
        """Return every path. States are those of the moment only with `fresh`."""
        if fresh or self._paths is None:
            self._paths = typed_paths(self.guest.call("devices"))
        return self._paths

    def path(self, iface: str, lun: int, fresh: bool = False) -> ScsiPath:
        """Return the one path from an initiator to a LU."""
        for path in self.paths(fresh):
            if (path.iface, path.lun) == (iface, lun):
                return path
        raise LabError(f"no path from {iface} to LU {lun}")

    def dev(self, iface: str, lun: int = 0) -> str:
        """Return the block node of a path: '/dev/sdb'."""
        return self.path(iface, lun).block

    def sg(self, iface: str, lun: int = 0) -> str:
        """Return the sg node of a path: '/dev/sg1'."""
        return self.path(iface, lun).sg

    def bsg(self, iface: str, lun: int = 0) -> str:
        """Return the bsg node of a path: '/dev/bsg/0:0:0:1'."""
        return self.path(iface, lun).bsg

    def state(self, iface: str, lun: int = 0) -> str:
        """Return what sysfs says of a path right now: 'running', 'transport-offline', ..."""
        return self.path(iface, lun, fresh=True).state

    def udev(self) -> None:
        """Start udevd, once: by-id links appear (4 s), and multipathd can work."""
        if not self._udev:
            self.ok("/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1", timeout=60)
            self._udev = True
        self.ok("udevadm trigger; udevadm settle", timeout=90)

    # -- SCSI and data --------------------------------------------------------------

    def scsi(
        self,
        node: str,
        cdb: bytes,
        out: bytes = b"",
        length: int = 0,
        *,
        timeout: float = 30.0,
        writable: bool = False,
    ) -> Reply:
        """Send one command to a node (any kind), with nothing of the project in between."""
        said = self.guest.call(
            "scsi",
            timeout=timeout + 30,
            **{"node": node, "cdb": cdb.hex(), "out": out.hex(), "length": length},
            **{"timeout_ms": int(timeout * 1000), "writable": writable},
        )
        return Reply.of(said)

    def write(
        self, iface: str, lun: int, block: int, text: str | bytes, timeout: float = 60.0
    ) -> Direct:
        """Write one block past every cache; look at `.errno` ('' is success)."""
        data = text.encode() if isinstance(text, str) else text
        node = self.dev(iface, lun)
        said = self.guest.call("write", timeout, node=node, block=block, data=data.hex())
        return Direct.of(said)

    def read(self, iface: str, lun: int, block: int, timeout: float = 60.0) -> Direct:
        """Read one block past every cache."""
        node = self.dev(iface, lun)
        return Direct.of(self.guest.call("read", timeout, node=node, block=block))

    def start_write(
        self, iface: str, lun: int, block: int, text: str | bytes, timeout: float = 60.0
    ) -> Future[Direct]:
        """Start a write and return when it is on its way; its `.result()` is that of `write`."""
        path = self.path(iface, lun)
        count = f"/sys/class/scsi_device/{path.address}/device/iorequest_cnt"
        before = self.ok(f"cat {count}")
        future = self._threads.submit(self.write, iface, lun, block, text, timeout)
        self._await(lambda: self.ok(f"cat {count}") != before, timeout, "the write to be sent")
        return future

    def reset_units(
        self, nodes: Sequence[str], timeout: float = 120.0, nonblocking: bool = False
    ) -> list[dict[str, Any]]:
        """SG_SCSI_RESET (device, no escalation) on all nodes at once: errno and seconds each."""
        found: list[dict[str, Any]] = self.guest.call(
            "reset", timeout, nodes=list(nodes), nonblocking=nonblocking
        )
        return found

    # -- state of the target ----------------------------------------------------------

    def clear(self) -> None:
        """Put the network right: all paths alive, no registration or reservation, no UA."""
        for iface in list(self._cut):
            self.revive_path(iface)
        units = [[self.dev(i, u.index) for i in INITIATORS] for u in self.units]
        complaints = self.guest.call("sweep", timeout=60, units=units)
        if complaints:
            raise LabError(f"cannot clear: {complaints}")

    def add(self, added: Unit) -> Unit:
        """Export one more LU and have all initiators find it."""
        self.guest.call("add_unit", unit=asdict(added))
        self.units.append(added)
        self._rescan()
        return added

    def remove(self, gone: Unit) -> None:
        """Take a LU away, the devices of all initiators first."""
        if gone.delay_ms:
            self.set_delay(gone, 0)  # else each device's last flush is late as well
        for iface in INITIATORS:
            address = self.path(iface, gone.index, fresh=True).address
            self.ok(f"echo 1 >/sys/class/scsi_device/{address}/device/delete")
        self.guest.call("remove_unit", unit=asdict(gone))
        self.units.remove(gone)
        self._paths = None

    def set_delay(self, delayed: Unit, write_ms: int, read_ms: int = 0) -> None:
        """Change how late a delayed LU is."""
        self.guest.call("delay", unit=asdict(delayed), write_ms=write_ms, read_ms=read_ms)

    def power_cycle(self, keep_aptpl: bool = True, timeout: float = RECOVERY_TIMEOUT_S) -> int:
        """Cut the target's power and bring it back; return how many registrations it restored.

        With `keep_aptpl` the target restores what it saved because of APTPL;
        without, it is one that forgets in spite of its promise.
        """
        units = [asdict(u) for u in self.units]
        self.guest.call("target_down", units=units)
        restored = int(self.guest.call("target_up", units=units, restore=keep_aptpl))
        self._await_paths(timeout)
        return restored

    # -- paths that die -----------------------------------------------------------------

    def cut_path(self, iface: str, wait: bool = True) -> None:
        """Cut an initiator off: its packets go nowhere any more, in either direction.

        With `wait`, return when the kernel has given the path up (state
        transport-offline); what was in flight has then come back with a host status.
        """
        session = self.path(iface, self.units[0].index).session
        attribute = f"/sys/class/iscsi_session/{session}/recovery_tmo"
        self._cut[iface] = self.ok(f"cat {attribute}").strip()
        # Few retransmissions, so that the first unanswered packet ends the connection soon.
        self.ok(
            f"echo {PATH_DEATH_S} >{attribute}; echo 3 >/proc/sys/net/ipv4/tcp_retries2;"
            f" ip addr del {self.address(iface)}/32 dev lo"
        )
        if not wait:
            return
        self.spawn(f"sg_turs {self.sg(iface, self.units[0].index)}")
        self.await_state(iface, "transport-offline", CUT_TIMEOUT_S)

    def await_state(self, iface: str, state: str, timeout: float = CUT_TIMEOUT_S) -> None:
        """Wait until sysfs shows a state for all LUs of an initiator."""
        luns = {u.index for u in self.units}
        self._await(
            lambda: (
                {(path.lun, path.state) for path in self.paths(fresh=True) if path.iface == iface}
                == {(lun, state) for lun in luns}
            ),
            timeout,
            f"{iface} to become {state}",
        )

    def revive_path(self, iface: str, timeout: float = RECOVERY_TIMEOUT_S) -> None:
        """Undo `cut_path`; the initiator logs in again into the same session."""
        session = self.path(iface, self.units[0].index).session
        before = self._cut.pop(iface)
        self.ok(
            f"ip addr add {self.address(iface)}/32 dev lo;"
            f" echo {before} >/sys/class/iscsi_session/{session}/recovery_tmo;"
            f" echo 15 >/proc/sys/net/ipv4/tcp_retries2"
        )
        self._await_paths(timeout)

    # -- inside ---------------------------------------------------------------------------

    def _rescan(self) -> None:
        self.scans += 1
        self.ok("iscsiadm -m session --rescan", timeout=60)
        self._await_paths()

    def _await_paths(self, timeout: float = RECOVERY_TIMEOUT_S) -> None:
        """Wait until every initiator that is not cut off sees every LU."""
        self._paths = typed_paths(
            self.guest.call(
                "wait_devices",
                timeout=timeout + 5,
                ifaces=[i for i in INITIATORS if i not in self._cut],
                luns=[u.index for u in self.units],
                seconds=timeout,
            )
        )

    @staticmethod
    def _await(condition: Any, timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise LabError(f"waited {timeout} s in vain for {what}")
            time.sleep(0.05)
