"""The values that go in and come out: the I_T nexus, the response, the error."""

from __future__ import annotations

from .codes import (
    CHECK_CONDITION,
    GOOD,
    HOST_OK,
    LOGICAL_UNIT_RESET,
    PERSISTENT_RESERVE_IN,
    PERSISTENT_RESERVE_OUT,
    SERVICE_ACTION_IN_16,
)

TYPE_CHECKING = False

MAX_INITIATOR_NAME_BYTES = 223  # RFC 7143 4.2.7.1
ISID_DIGITS = 12  # 48 bits, RFC 7143 11.12.5
MAX_PORT = 0xFFFF
DEFAULT_ISID = "00023d000001"


class SimulatorError(Exception):
    """The simulator itself cannot go on: a broken file, a bad fault, a bad argument.

    Never the answer of a logical unit: those are Response values.
    """


class Nexus:
    """An I_T nexus: an initiator port (iSCSI name and ISID) and a relative target port."""

    __slots__ = ("initiator", "isid", "port")

    def __init__(self, initiator: str, isid: str = DEFAULT_ISID, port: int = 1) -> None:
        if not 0 < len(initiator) <= MAX_INITIATOR_NAME_BYTES:
            raise SimulatorError(
                f"initiator name of {len(initiator)} characters, not 1 to "
                f"{MAX_INITIATOR_NAME_BYTES}"
            )
        if not initiator.isascii() or not initiator.isprintable() or "," in initiator:
            raise SimulatorError(f"initiator name {initiator!r}: printable ASCII, no comma")
        if " " in initiator:
            raise SimulatorError(f"initiator name {initiator!r} has a space")
        if len(isid) != ISID_DIGITS or isid.strip("0123456789abcdef"):
            raise SimulatorError(f"ISID {isid[:40]!r} is not {ISID_DIGITS} lower-case hex digits")
        if not 0 < port <= MAX_PORT:
            raise SimulatorError(f"relative target port {port} is not 1 to {MAX_PORT}")
        self.initiator = initiator
        self.isid = isid
        self.port = port

    def same_initiator_port(self, other: Nexus) -> bool:
        return self.initiator == other.initiator and self.isid == other.isid

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Nexus):
            return NotImplemented
        return self.same_initiator_port(other) and self.port == other.port

    def __hash__(self) -> int:
        return hash((self.initiator, self.isid, self.port))

    def __repr__(self) -> str:
        return f"{self.initiator},{self.isid},{self.port}"


class Response:
    """What comes back for one command.

    With a host status other than zero the initiator got no status: `status`, `sense` and `data`
    mean nothing. Only the fault model sets `host_status` and `delay_ms`.
    """

    __slots__ = ("status", "sense", "data", "host_status", "delay_ms")

    def __init__(
        self,
        status: int = GOOD,
        sense: bytes = b"",
        data: bytes = b"",
        host_status: int = HOST_OK,
        delay_ms: int = 0,
    ) -> None:
        self.status = status
        self.sense = sense
        self.data = data
        self.host_status = host_status
        self.delay_ms = delay_ms

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        return self._fields() == other._fields()

    __hash__ = None  # type: ignore[assignment]

    def _fields(self) -> tuple[int, bytes, bytes, int, int]:
        return (self.status, self.sense, self.data, self.host_status, self.delay_ms)

    def __repr__(self) -> str:
        parts = [f"status={self.status:02x}h"]
        if self.host_status:
            parts.append(f"host={self.host_status:02x}h")
        if self.status == CHECK_CONDITION:
            parts.append(f"sense={self.sense.hex()}")
        if self.data:
            parts.append(f"data={self.data.hex()}")
        if self.delay_ms:
            parts.append(f"delay={self.delay_ms}ms")
        return f"Response({' '.join(parts)})"


# Operation codes that bear a service action in byte 1, SPC-4 4.2.3.
WITH_SERVICE_ACTION = frozenset(
    (PERSISTENT_RESERVE_IN, PERSISTENT_RESERVE_OUT, SERVICE_ACTION_IN_16)
)
# CDB length by group code, the upper three bits of the operation code, SPC-4 4.2.5.1. Groups 3
# (variable length and reserved), 6 and 7 (vendor specific) are absent: any length.
CDB_BYTES = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}
MAX_CDB_BYTES = 260


class Call:
    """One command, or with an empty CDB one LOGICAL UNIT RESET, on its way into the unit."""

    __slots__ = ("nexus", "cdb", "data_out", "data_in_length", "opcode", "action")

    def __init__(
        self, nexus: Nexus, cdb: bytes = b"", data_out: bytes = b"", data_in_length: int = 0
    ) -> None:
        self.nexus = nexus
        self.cdb = bytes(cdb)
        self.data_out = bytes(data_out)
        self.data_in_length = data_in_length
        self.opcode = cdb[0] if cdb else LOGICAL_UNIT_RESET
        self.action: int | None = None
        if self.opcode in WITH_SERVICE_ACTION:
            self.action = cdb[1] & 0x1F

    @classmethod
    def of_command(cls, nexus: Nexus, cdb: bytes, data_out: bytes, data_in_length: int) -> Call:
        """A call from outside, whose CDB has the length that its group code demands."""
        if not 0 < len(cdb) <= MAX_CDB_BYTES:
            raise SimulatorError(f"CDB of {len(cdb)} bytes")
        expected = CDB_BYTES.get(cdb[0] >> 5)
        if expected is not None and len(cdb) != expected:
            raise SimulatorError(
                f"CDB of operation code {cdb[0]:02x}h has {len(cdb)} bytes, not {expected}"
            )
        return cls(nexus, cdb, data_out, data_in_length)


class CheckCondition(Exception):
    """Raised inside the logical unit to end a command with CHECK CONDITION."""

    def __init__(self, triple: tuple[int, int, int]) -> None:
        super().__init__("key {:x}h, asc {:02x}h, ascq {:02x}h".format(*triple))
        self.triple = triple


class Conflict(Exception):
    """Raised inside the logical unit to end a command with RESERVATION CONFLICT."""
