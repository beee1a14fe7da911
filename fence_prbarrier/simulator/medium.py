"""The medium and the block commands, SBC-3 5.x: 512-byte blocks, kept only where not zero."""

from __future__ import annotations

from .codes import (
    DATA_PHASE_ERROR,
    INVALID_FIELD_IN_CDB,
    LBA_OUT_OF_RANGE,
    READ_10,
    READ_16,
    SYNCHRONIZE_CACHE_10,
    VERIFY_10,
    WRITE_10,
    WRITE_16,
    WRITE_AND_VERIFY_10,
    WRITE_SAME_10,
    WRITE_SAME_16,
)
from .profiles import Spec
from .values import CheckCondition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK_BYTES = 512
MAX_TRANSFER_BLOCKS = 2048
MAX_LBA_10 = 0xFFFFFFFF

# Byte 1. DPO, FUA and the like change nothing here and are let through; RDPROTECT, WRPROTECT
# and VRPROTECT need protection information, BYTCHK a comparison, and WRITE SAME's UNMAP, ANCHOR,
# PBDATA and LBDATA functions that this unit does not have.
PROTECT_MASK = 0xE0
BYTCHK_MASK = 0x06
WRITE_SAME_MASK = 0x1E
PMI = 0x01  # READ CAPACITY(10), SBC-2 5.10


class Medium:
    """The blocks of one logical unit."""

    __slots__ = ("blocks", "written")

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.written: dict[int, bytes] = {}

    def read(self, lba: int) -> bytes:
        return self.written.get(lba) or bytes(BLOCK_BYTES)

    def write(self, lba: int, block: bytes) -> None:
        if block.strip(b"\0"):
            self.written[lba] = block
        else:
            self.written.pop(lba, None)


def _extent(cdb: bytes) -> tuple[int, int]:
    """LOGICAL BLOCK ADDRESS and the number of blocks of a 10- or 16-byte CDB."""
    if len(cdb) == 10:
        return int.from_bytes(cdb[2:6], "big"), int.from_bytes(cdb[7:9], "big")
    return int.from_bytes(cdb[2:10], "big"), int.from_bytes(cdb[10:14], "big")


# Bits of byte 1 that are refused.
REFUSED = {
    READ_10: PROTECT_MASK,
    READ_16: PROTECT_MASK,
    WRITE_10: PROTECT_MASK,
    WRITE_16: PROTECT_MASK,
    WRITE_AND_VERIFY_10: PROTECT_MASK | BYTCHK_MASK,
    WRITE_SAME_10: PROTECT_MASK | WRITE_SAME_MASK,
    WRITE_SAME_16: PROTECT_MASK | WRITE_SAME_MASK,
    VERIFY_10: PROTECT_MASK | BYTCHK_MASK,
    SYNCHRONIZE_CACHE_10: 0,
}


def data_out_bytes(cdb: bytes) -> int:
    """How many bytes a command of this CDB transfers to the unit."""
    if cdb[0] in (WRITE_SAME_10, WRITE_SAME_16):
        return BLOCK_BYTES
    return _extent(cdb)[1] * BLOCK_BYTES if BLOCK_COMMANDS[cdb[0]] is _write else 0


def check(medium: Medium, profile: type[Spec], cdb: bytes) -> None:
    """Refuse a CDB that is wrong in itself."""
    if cdb[1] & REFUSED[cdb[0]]:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    lba, count = _extent(cdb)
    # Zero blocks would mean "to the end"; WSNZ is set here, SBC-3 WRITE SAME.
    if cdb[0] in (WRITE_SAME_10, WRITE_SAME_16) and not count:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    if lba + count > medium.blocks or (profile.checks_lba_of_nothing and lba >= medium.blocks):
        raise CheckCondition(LBA_OUT_OF_RANGE)
    if count > MAX_TRANSFER_BLOCKS and cdb[0] not in (VERIFY_10, SYNCHRONIZE_CACHE_10):
        raise CheckCondition(INVALID_FIELD_IN_CDB)


def _read(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    lba, count = _extent(cdb)
    return b"".join(medium.read(each) for each in range(lba, lba + count))


def _write(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    lba, count = _extent(cdb)
    if len(data_out) < count * BLOCK_BYTES:
        raise CheckCondition(DATA_PHASE_ERROR)
    for index in range(count):
        medium.write(lba + index, data_out[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES])
    return b""


def _write_same(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    lba, count = _extent(cdb)
    if len(data_out) < BLOCK_BYTES:
        raise CheckCondition(DATA_PHASE_ERROR)
    for index in range(count):
        medium.write(lba + index, data_out[:BLOCK_BYTES])
    return b""


def _no_data(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    """VERIFY without comparison, SYNCHRONIZE CACHE: there is nothing that could fail."""
    return b""


BLOCK_COMMANDS: dict[int, Callable[[Medium, bytes, bytes], bytes]] = {
    READ_10: _read,
    READ_16: _read,
    WRITE_10: _write,
    WRITE_16: _write,
    WRITE_AND_VERIFY_10: _write,
    WRITE_SAME_10: _write_same,
    WRITE_SAME_16: _write_same,
    VERIFY_10: _no_data,
    SYNCHRONIZE_CACHE_10: _no_data,
}


def read_capacity_10(medium: Medium, profile: type[Spec], cdb: bytes) -> bytes:
    """SBC-3 5.15: FFFFFFFFh where the last block does not fit."""
    if profile.capacity_checks_lba and any(cdb[2:6]) and not cdb[8] & PMI:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    last = min(medium.blocks - 1, MAX_LBA_10)
    return last.to_bytes(4, "big") + BLOCK_BYTES.to_bytes(4, "big")


def read_capacity_16(medium: Medium, cdb: bytes) -> bytes:
    """SBC-3 5.16."""
    allocation = int.from_bytes(cdb[10:14], "big")
    last = medium.blocks - 1
    data = last.to_bytes(8, "big") + BLOCK_BYTES.to_bytes(4, "big") + bytes(20)
    return data[:allocation]
