"""Commands as values: how they are made, sent to the guest, and told to people."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, ABORT, IGNORE, MOVE, REPLACE = range(9)
KEYS, RESERVATION, CAPABILITIES, FULL_STATUS = range(4)
TYPES = {1: "WE", 3: "EA", 5: "WERO", 6: "EARO", 7: "WEAR", 8: "EAAR"}
APTPL, ALL_TG_PT, SPEC_I_PT = 0x01, 0x04, 0x08
BLOCK_BYTES = 512

TEST_UNIT_READY, REQUEST_SENSE, READ_CAPACITY_10 = 0x00, 0x03, 0x25
PR_IN, PR_OUT = 0x5E, 0x5F
READS = {0x28: "READ(10)", 0x88: "READ(16)"}
WRITES = {0x2A: "WRITE(10)", 0x2E: "WRITE AND VERIFY(10)", 0x8A: "WRITE(16)"}
WRITE_SAMES = {0x41: "WRITE SAME(10)", 0x93: "WRITE SAME(16)"}
WITHOUT_DATA = {0x2F: "VERIFY(10)", 0x35: "SYNCHRONIZE CACHE(10)"}
OTHERS = {
    TEST_UNIT_READY: "TEST UNIT READY",
    REQUEST_SENSE: "REQUEST SENSE",
    0x12: "INQUIRY",
    READ_CAPACITY_10: "READ CAPACITY(10)",
    0x9E: "SERVICE ACTION IN(16)",
    0xA0: "REPORT LUNS",
}
BLOCK_COMMANDS = {**READS, **WRITES, **WRITE_SAMES, **WITHOUT_DATA}
OUT_NAMES = (
    *("REGISTER", "RESERVE", "RELEASE", "CLEAR", "PREEMPT", "PREEMPT AND ABORT"),
    *("REGISTER AND IGNORE EXISTING KEY", "REGISTER AND MOVE", "REPLACE LOST RESERVATION"),
)
IN_NAMES = ("READ KEYS", "READ RESERVATION", "REPORT CAPABILITIES", "READ FULL STATUS")

# What tests/lab/inguest_scsi.py reads and writes.
RECORD = struct.Struct(">BBHI")
ANSWER = struct.Struct(">BBHBI")


class Command(NamedTuple):
    """One command of one nexus (0 to 2). Without a CDB it is a LOGICAL UNIT RESET."""

    nexus: int
    cdb: bytes
    out: bytes = b""
    length: int = 0

    def record(self) -> bytes:
        """The command as the guest reads it."""
        head = RECORD.pack(self.nexus, len(self.cdb), len(self.out), self.length)
        return head + self.cdb + self.out


class Answer(NamedTuple):
    """What came back. `data` counts with status GOOD only; `failed` is an errno."""

    status: int
    sense: bytes = b""
    data: bytes = b""
    host: int = 0
    failed: int = 0

    @property
    def triple(self) -> str:
        """Key, ASC and ASCQ: '6/2a/05'; '' without sense data."""
        if len(self.sense) < 14:
            return ""
        return f"{self.sense[2] & 15:x}/{self.sense[12]:02x}/{self.sense[13]:02x}"

    def words(self) -> str:
        """The outcome for people, without data."""
        if self.failed or self.host:
            return f"errno {self.failed}, host status {self.host:02x}h"
        names = {0: "GOOD", 2: "CHECK CONDITION", 0x18: "RESERVATION CONFLICT", 8: "BUSY"}
        return f"{names.get(self.status, hex(self.status))} {self.triple}".rstrip()


Sequence3 = Sequence[Command]  # the commands of all three nexuses, in their order


def answers(data: bytes) -> Iterable[Answer]:
    """The answers in what the guest has written."""
    at = 0
    while at < len(data):
        failed, status, host, sense_bytes, data_bytes = ANSWER.unpack_from(data, at)
        at += ANSWER.size
        sense = data[at : at + sense_bytes]
        at += sense_bytes
        answer = Answer(status, sense, data[at : at + data_bytes], host, failed)
        at += data_bytes
        yield answer if answer.status == 0 else answer._replace(data=b"")


# --- Making them ---------------------------------------------------------------------------------


def pr_out_cdb(action: int, scope_and_type: int, length: int) -> bytes:
    """The CDB of a PERSISTENT RESERVE OUT."""
    return bytes((PR_OUT, action, scope_and_type, 0, 0)) + length.to_bytes(4, "big") + b"\0"


def pr_out(
    nexus: int, action: int, key: int, action_key: int = 0, kind: int = 0, flags: int = 0
) -> Command:
    """A PERSISTENT RESERVE OUT with its list of 24 bytes; `kind` is scope and type."""
    listed = struct.pack(">QQ4xB3x", key, action_key, flags)
    return Command(nexus, pr_out_cdb(action, kind, len(listed)), listed)


def transport_id(name: str, isid: str, head: bytes = b"\x45\x00") -> bytes:
    """The iSCSI TransportID of an initiator port."""
    text = f"{name},i,0x{isid}\0".encode()
    text = text.ljust((len(text) + 3) // 4 * 4, b"\0")
    return head + len(text).to_bytes(2, "big") + text


def with_ports(nexus: int, key: int, action_key: int, flags: int, ids: bytes) -> Command:
    """A REGISTER with SPEC_I_PT, whose list goes on with TransportIDs."""
    listed = struct.pack(">QQ4xB3xI", key, action_key, flags | SPEC_I_PT, len(ids)) + ids
    return Command(nexus, pr_out_cdb(REGISTER, 0, len(listed)), listed)


def move(nexus: int, key: int, action_key: int, flags: int, port: int, name: bytes) -> Command:
    """A REGISTER AND MOVE; `flags` are UNREG 02h and APTPL 01h."""
    listed = struct.pack(">QQBBHI", key, action_key, 0, flags, port, len(name)) + name
    return Command(nexus, pr_out_cdb(MOVE, 0, len(listed)), listed)


def pr_in(nexus: int, action: int, length: int = 512) -> Command:
    """A PERSISTENT RESERVE IN."""
    cdb = bytes((PR_IN, action, 0, 0, 0, 0, 0)) + length.to_bytes(2, "big") + b"\0"
    return Command(nexus, cdb, length=length)


def block(nexus: int, opcode: int, lba: int, count: int, fill: int = 0, flags: int = 0) -> Command:
    """A command with an LBA and a number of blocks; what it writes is filled with one byte."""
    head = bytes((opcode, flags))
    if opcode >> 5 == 4:
        cdb = head + lba.to_bytes(8, "big") + count.to_bytes(4, "big") + bytes(2)
    else:
        cdb = head + lba.to_bytes(4, "big") + b"\0" + count.to_bytes(2, "big") + b"\0"
    if opcode in READS:
        return Command(nexus, cdb, length=count * BLOCK_BYTES)
    if opcode in WRITES:
        return Command(nexus, cdb, bytes((fill,)) * (count * BLOCK_BYTES))
    if opcode in WRITE_SAMES:
        return Command(nexus, cdb, bytes((fill,)) * BLOCK_BYTES)
    return Command(nexus, cdb)


def unit_ready(nexus: int) -> Command:
    """A TEST UNIT READY."""
    return Command(nexus, bytes(6))


def request_sense(nexus: int, length: int = 252, flags: int = 0) -> Command:
    """A REQUEST SENSE."""
    return Command(nexus, bytes((REQUEST_SENSE, flags, 0, 0, length, 0)), length=length)


def unit_reset(nexus: int) -> Command:
    """A LOGICAL UNIT RESET."""
    return Command(nexus, b"")


# --- Telling them --------------------------------------------------------------------------------


def words(command: Command) -> str:
    """A command for people, in one line."""
    cdb, out = command.cdb, command.out
    if not cdb:
        return "LOGICAL UNIT RESET"
    if cdb[0] == PR_OUT:
        return _out_words(cdb, out)
    if cdb[0] == PR_IN:
        action = cdb[1] & 0x1F
        name = IN_NAMES[action] if action < len(IN_NAMES) else f"RESERVE IN action {action:02x}h"
        return f"{name}, {int.from_bytes(cdb[7:9], 'big')} bytes"
    if cdb[0] in BLOCK_COMMANDS:
        long = len(cdb) == 16
        lba = int.from_bytes(cdb[2 : 10 if long else 6], "big")
        count = int.from_bytes(cdb[10:14] if long else cdb[7:9], "big")
        content = f" filled with {out[0]:02x}h" if out else ""
        return f"{BLOCK_COMMANDS[cdb[0]]} of {count} blocks at {lba}{content}"
    return OTHERS.get(cdb[0], f"operation code {cdb[0]:02x}h")


def _out_words(cdb: bytes, out: bytes) -> str:
    action, kind = cdb[1] & 0x1F, cdb[2] & 0x0F
    parts = [OUT_NAMES[action] if action < len(OUT_NAMES) else f"RESERVE OUT action {action:02x}h"]
    if action in (RESERVE, RELEASE, PREEMPT, ABORT) or cdb[2]:
        parts.append(f"type {TYPES.get(kind, f'{kind:x}h')}")
    if cdb[2] >> 4:
        parts.append(f"scope {cdb[2] >> 4}")
    if len(out) >= 16:
        parts.append(f"key {int.from_bytes(out[:8], 'big'):x}")
        parts.append(f"action key {int.from_bytes(out[8:16], 'big'):x}")
    if len(out) > 20 and action != MOVE:
        names = ((APTPL, "APTPL"), (ALL_TG_PT, "ALL_TG_PT"), (SPEC_I_PT, "SPEC_I_PT"))
        parts += [name for bit, name in names if out[20] & bit]
    if len(out) != 24 or int.from_bytes(cdb[5:9], "big") != 24:
        parts.append(f"{len(out)} bytes, said to be {int.from_bytes(cdb[5:9], 'big')}")
    return ", ".join(parts)
