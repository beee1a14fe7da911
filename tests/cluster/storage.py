"""The storage: LIO with its logical units, and what each of them bears."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

from ..lab.guest import LabError
from ..lab.model import TARGET, Unit, unit
from .machine import Machine
from .premises import Premises

NUMBER = 100
INITIATOR_PREFIX = "iqn.2020-01.org.example:"
WERO = "Write Exclusive Access, Registrants Only"
CORE = "/sys/kernel/config/target/core"
REGISTRATION = re.compile(r"^iSCSI Node: (\S+?),i,0x\w+ Key: 0x(\w+) ", re.MULTILINE)
HOLDER = re.compile(r"iSCSI Initiator: (\S+?),i,0x")
TYPE = re.compile(r"Reservation Type: (.*)")


class Bears(NamedTuple):
    """What a LU bears, as its target says, who is asked without any nexus's doing."""

    keys: dict[str, list[int]]  # by node's name, a key for each of its nexuses
    holder: str  # a node's name, or ''
    type: str  # as LIO words it, or ''

    def key(self, node: str) -> int | None:
        """Return a node's key, or None; many nexuses may bear it, but they have to agree."""
        found = set(self.keys.get(node, ()))
        if len(found) > 1:
            raise AssertionError(f"{node} has more than one key: {self}")
        return found.pop() if found else None


class Storage(Machine):
    """The guest that has the disks."""

    def __init__(
        self, premises: Premises, segments: Sequence[str], units: Sequence[Unit], memory_mb: int
    ) -> None:
        """Prepare; `units` as of `lab.model.unit`, with a delay if they are to be late.

        `known` are the initiators that the target has an ACL for; others may log
        in as well, and are strangers.
        """
        super().__init__(premises, "storage", NUMBER, segments, memory_mb)
        self.units = list(units)
        self.known: list[str] = []

    def set_up(self) -> None:
        """Bring the target up with empty disks: a power cut of the *guest* loses them."""
        super().set_up()
        self.call("prepare", initiators={}, settings={})
        self.call("target_up", units=[asdict(u) for u in self.units], known=self.known)

    def portals(self) -> list[str]:
        """Return the target's addresses, one for each storage network."""
        return [self.address(segment) for segment in self.segments]

    def power_cycle(self, keep_aptpl: bool = True) -> int:
        """Cut the target's power and bring it back; return how many registrations it restored.

        With `keep_aptpl` the target restores what it saved because of APTPL;
        without, it is one that forgets in spite of its promise. The initiators
        log in again by themselves (`Node.await_devices`).
        """
        units = [asdict(u) for u in self.units]
        self.call("target_down", timeout=60, units=units)
        up = self.call("target_up", units=units, restore=keep_aptpl, known=self.known)
        return int(up)

    def add(self, index: int, mib: int = 16, delay_ms: int | None = None) -> Unit:
        """Export one more LU; the nodes see it after `Node.rescan` (`Cluster.add` does both)."""
        added = unit(index, mib, delay_ms)
        self.call("add_unit", unit=asdict(added), known=self.known)
        self.units.append(added)
        return added

    def remove(self, gone: Unit) -> None:
        """Take a LU away, and its medium; see `Cluster.remove`."""
        self.call("remove_unit", unit=asdict(gone))
        self.units.remove(gone)

    def set_delay(self, delayed: Unit, write_ms: int, read_ms: int = 0) -> None:
        """Change how late a LU is that was made with a delay."""
        self.call("delay", unit=asdict(delayed), write_ms=write_ms, read_ms=read_ms)

    def bears(self, lun: int = 0) -> Bears:
        """Return what a LU bears."""
        found = [u for u in self.units if u.index == lun]
        if not found:
            raise LabError(f"no LU {lun}")
        plugin = "fileio" if found[0].delay_ms is None else "iblock"
        text = self.ok(f"cd {CORE}/{plugin}_{lun}/{found[0].name}/pr; cat res_pr_* res_holder")
        keys: dict[str, list[int]] = {}
        for initiator, key in REGISTRATION.findall(text):
            keys.setdefault(_node(initiator), []).append(int(key, 16))
        holder, kind = HOLDER.search(text), TYPE.search(text)
        return Bears(
            keys,
            _node(holder[1]) if holder else "",
            kind[1].strip() if kind and holder else "",
        )

    def keys(self, lun: int = 0) -> dict[str, list[int]]:
        """Return the keys that a LU bears, by node's name."""
        return self.bears(lun).keys


def initiator_name(node: str) -> str:
    """Return a node's iSCSI name."""
    return f"{INITIATOR_PREFIX}{node}"


def _node(initiator: str) -> str:
    return initiator[len(INITIATOR_PREFIX) :]


__all__ = ["TARGET", "WERO", "Bears", "Storage", "initiator_name"]
