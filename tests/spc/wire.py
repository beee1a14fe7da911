"""Commands as bytes, typed from the standard; nothing here comes from the package's encoders."""

from __future__ import annotations

from fence_prbarrier.simulator.unit import LogicalUnit
from fence_prbarrier.simulator.values import Nexus, Response

GOOD, CHECK, BUSY, CONFLICT, FULL = 0x00, 0x02, 0x08, 0x18, 0x28

REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, ABORT, IGNORE, MOVE, REPLACE = range(9)
APTPL_FLAG = 0x01
WE, EA, WERO, EARO, WEAR, EAAR = 1, 3, 5, 6, 7, 8
ALL_TYPES = (WE, EA, WERO, EARO, WEAR, EAAR)

A = Nexus("iqn.2024-01.com.example:n1")
B = Nexus("iqn.2024-01.com.example:n2")
C = Nexus("iqn.2024-01.com.example:n3")
A2 = Nexus("iqn.2024-01.com.example:n1", port=2)
KEY_A, KEY_B, KEY_C = 0xA1A1A1A1A1A1A1A1, 0xB2B2B2B2B2B2B2B2, 0xC3C3C3C3C3C3C3C3
KEYS = {A: KEY_A, B: KEY_B, C: KEY_C}

PREEMPTED_RESERVATIONS = "6/2a/03"
RELEASED = "6/2a/04"
PREEMPTED_REGISTRATIONS = "6/2a/05"

TEST_UNIT_READY = bytes(6)
READ_KEYS = bytes.fromhex("5e 00 00 00 00 00 00 04 00 00")
READ_RESERVATION = bytes.fromhex("5e 01 00 00 00 00 00 04 00 00")
REPORT_CAPABILITIES = bytes.fromhex("5e 02 00 00 00 00 00 04 00 00")
READ_FULL_STATUS = bytes.fromhex("5e 03 00 00 00 00 00 04 00 00")
# One block at LBA 5, then the same at LBA 5 with 16-byte CDBs.
READ_10 = bytes.fromhex("28 00 00 00 00 05 00 00 01 00")
WRITE_10 = bytes.fromhex("2a 00 00 00 00 05 00 00 01 00")
WRITE_AND_VERIFY_10 = bytes.fromhex("2e 00 00 00 00 05 00 00 01 00")
VERIFY_10 = bytes.fromhex("2f 00 00 00 00 05 00 00 01 00")
SYNCHRONIZE_CACHE_10 = bytes.fromhex("35 00 00 00 00 00 00 00 00 00")
WRITE_SAME_10 = bytes.fromhex("41 00 00 00 00 05 00 00 02 00")
READ_16 = bytes.fromhex("88 00 00 00 00 00 00 00 00 05 00 00 00 01 00 00")
WRITE_16 = bytes.fromhex("8a 00 00 00 00 00 00 00 00 05 00 00 00 01 00 00")
WRITE_SAME_16 = bytes.fromhex("93 00 00 00 00 00 00 00 00 05 00 00 00 02 00 00")
READ_CAPACITY_10 = bytes.fromhex("25 00 00 00 00 00 00 00 00 00")
READ_CAPACITY_16 = bytes.fromhex("9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00")
INQUIRY = bytes.fromhex("12 00 00 00 60 00")
REPORT_LUNS = bytes.fromhex("a0 00 00 00 00 00 00 00 00 40 00 00")
REQUEST_SENSE = bytes.fromhex("03 00 00 00 fc 00")
BLOCK = b"x" * 512


def plist(key: int = 0, action_key: int = 0, flags: int = 0) -> bytes:
    """The 24-byte parameter list of PERSISTENT RESERVE OUT, SPC-4 6.16.3."""
    return (
        key.to_bytes(8, "big") + action_key.to_bytes(8, "big") + bytes(4) + bytes((flags, 0, 0, 0))
    )


def out_cdb(action: int, kind: int = 0, scope: int = 0, length: int = 24) -> bytes:
    return bytes((0x5F, action, scope << 4 | kind, 0, 0)) + length.to_bytes(4, "big") + b"\0"


def out(
    unit: LogicalUnit,
    nexus: Nexus,
    action: int,
    key: int = 0,
    action_key: int = 0,
    *,
    kind: int = 0,
    scope: int = 0,
    flags: int = 0,
) -> str:
    """One PERSISTENT RESERVE OUT; its outcome in the form of `outcome`."""
    response = unit.command(nexus, out_cdb(action, kind, scope), plist(key, action_key, flags))
    return outcome(response)


def outcome(response: Response) -> str:
    """`good`, `conflict`, or the sense as `key/asc/ascq` in hex, read by hand from 4.5.3."""
    if response.host_status:
        return f"host {response.host_status:02x}"
    if response.status != CHECK:
        return {GOOD: "good", CONFLICT: "conflict", BUSY: "busy", FULL: "full"}[response.status]
    sense = response.sense
    if sense[0] == 0x72:
        return f"{sense[1]:x}/{sense[2]:02x}/{sense[3]:02x}"
    return f"{sense[2]:x}/{sense[12]:02x}/{sense[13]:02x}"


def run(unit: LogicalUnit, nexus: Nexus, cdb: bytes, data: bytes = b"") -> str:
    return outcome(unit.command(nexus, cdb, data, 1 << 16))


def data_of(unit: LogicalUnit, nexus: Nexus, cdb: bytes) -> bytes:
    response = unit.command(nexus, cdb, data_in_length=1 << 16)
    assert outcome(response) == "good"
    return response.data


def watched(unit: LogicalUnit, cdb: bytes) -> bytes:
    """The reply to a nexus that the unit has never met, so that nothing is pending for it."""
    unit.attentions.pop(WATCHER, None)
    return data_of(unit, WATCHER, cdb)


def keys(unit: LogicalUnit) -> list[int]:
    data = watched(unit, READ_KEYS)
    assert int.from_bytes(data[4:8], "big") == len(data) - 8
    return [int.from_bytes(data[at : at + 8], "big") for at in range(8, len(data), 8)]


def generation(unit: LogicalUnit) -> int:
    return int.from_bytes(watched(unit, READ_KEYS)[:4], "big")


def reservation(unit: LogicalUnit) -> tuple[int, int]:
    """(key, type) of READ RESERVATION; (0, 0) where none stands."""
    data = watched(unit, READ_RESERVATION)
    if len(data) == 8:
        assert data[4:8] == bytes(4)
        return (0, 0)
    assert len(data) == 24 and data[4:8] == b"\0\0\0\x10"
    return (int.from_bytes(data[8:16], "big"), data[21])


def attentions(unit: LogicalUnit, nexus: Nexus) -> list[str]:
    """All unit attentions that are pending for this nexus, taken by TEST UNIT READY."""
    taken: list[str] = []
    while True:
        result = run(unit, nexus, TEST_UNIT_READY)
        if result == "good":
            return taken
        taken.append(result)


WATCHER = Nexus("iqn.2024-01.com.example:watcher")


def unit_with(
    *nexuses: Nexus, kind: int = 0, holder: Nexus = A, profile: str = "spec"
) -> LogicalUnit:
    """A unit on which these are registered with their keys, and `holder` holds."""
    unit = LogicalUnit(profile)
    for nexus in nexuses:
        assert out(unit, nexus, IGNORE, 0, KEYS[nexus]) == "good"
    if kind:
        assert out(unit, holder, RESERVE, KEYS[holder], kind=kind) == "good"
    return unit
