"""What the laboratory speaks of: logical units, paths, and what commands came to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

PORTAL = "127.0.0.1:3260"
TARGET = "iqn.2020-01.org.example:san"
INITIATORS = ("n1", "n2", "n3")
MIB = 1 << 20


@dataclass(frozen=True)
class Unit:
    """A logical unit of the target. With `delay_ms` its writes reach the medium late."""

    index: int
    name: str
    serial: str
    bytes: int
    delay_ms: int | None = None


@dataclass(frozen=True)
class ScsiPath:
    """One path: what one initiator sees of one LU."""

    iface: str
    lun: int
    block: str
    sg: str
    bsg: str
    address: str
    session: str
    state: str
    session_state: str


class Reply(NamedTuple):
    """What one SCSI command came to. `errno` is '' or a name such as ENXIO."""

    errno: str
    status: int
    host_status: int
    driver_status: int
    sense: bytes
    resid: int
    data: bytes
    seconds: float

    @classmethod
    def of(cls, said: dict[str, Any]) -> Reply:
        """Make one from the agent's words."""
        return cls(
            errno=said["errno"],
            status=said.get("status", 0),
            host_status=said.get("host_status", 0),
            driver_status=said.get("driver_status", 0),
            sense=bytes.fromhex(said.get("sense", "")),
            resid=said.get("resid", 0),
            data=bytes.fromhex(said.get("data", "")),
            seconds=said["seconds"],
        )

    @property
    def good(self) -> bool:
        """Whether the command was executed and answered GOOD."""
        return not (self.errno or self.status or self.host_status or self.driver_status)

    @property
    def asc(self) -> str | None:
        """Key, ASC and ASCQ of fixed or descriptor sense, as '6/2A/05', or None."""
        if len(self.sense) < 4:
            return None
        at = (2, 12, 13) if self.sense[0] & 0x7F in (0x70, 0x71) else (1, 2, 3)
        key, code, qualifier = (self.sense[i] for i in at)
        return f"{key & 15:X}/{code:02X}/{qualifier:02X}"


class Direct(NamedTuple):
    """What one direct read or write came to."""

    errno: str
    data: bytes
    seconds: float

    @classmethod
    def of(cls, said: dict[str, Any]) -> Direct:
        """Make one from the agent's words."""
        return cls(said["errno"], bytes.fromhex(said["data"]), said["seconds"])


def unit(index: int, mib: int = 16, delay_ms: int | None = None) -> Unit:
    """Describe a LU.

    VPD 83h is made from the first 25 hexadecimal digits of the serial, so it is
    these that have to differ from LU to LU.
    """
    serial = hashlib.sha256(f"lab unit {index}".encode()).hexdigest()[:32]
    return Unit(index, f"disk{index}", serial, mib * MIB, delay_ms)


def typed_paths(table: list[dict[str, Any]]) -> list[ScsiPath]:
    """Return the paths of the agent's table that have all their nodes."""
    return [ScsiPath(**row) for row in table if row["block"] and row["sg"]]
