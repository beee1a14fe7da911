"""The medium and the block commands, SBC-3 5.x: 512-byte blocks, kept only where not zero."""

from __future__ import annotations

from .codes import (
    DATA_PHASE_ERROR,
    INVALID_FIELD_IN_CDB,
    LBA_OUT_OF_RANGE,
    READ_10,
    READ_16,
    READ_CAPACITY_16,
    SYNCHRONIZE_CACHE_10,
    VERIFY_10,
    WRITE_10,
    WRITE_16,
    WRITE_AND_VERIFY_10,
    WRITE_SAME_10,
    WRITE_SAME_16,
)
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


def _extent(medium: Medium, cdb: bytes, limit: int) -> tuple[int, int]:
    """LOGICAL BLOCK ADDRESS and the number of blocks of a 10- or 16-byte CDB."""
    if len(cdb) == 10:
        lba = int.from_bytes(cdb[2:6], "big")
        count = int.from_bytes(cdb[7:9], "big")
    else:
        lba = int.from_bytes(cdb[2:10], "big")
        count = int.from_bytes(cdb[10:14], "big")
    if lba + count > medium.blocks or lba >= medium.blocks:
        raise CheckCondition(LBA_OUT_OF_RANGE)
    if count > limit:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    return lba, count


def _refuse(cdb: bytes, mask: int) -> None:
    if cdb[1] & mask:
        raise CheckCondition(INVALID_FIELD_IN_CDB)


def _read(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    _refuse(cdb, PROTECT_MASK)
    lba, count = _extent(medium, cdb, MAX_TRANSFER_BLOCKS)
    return b"".join(medium.read(each) for each in range(lba, lba + count))


def _write(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    _refuse(cdb, PROTECT_MASK)
    if cdb[0] == WRITE_AND_VERIFY_10:
        _refuse(cdb, BYTCHK_MASK)
    lba, count = _extent(medium, cdb, MAX_TRANSFER_BLOCKS)
    if len(data_out) < count * BLOCK_BYTES:
        raise CheckCondition(DATA_PHASE_ERROR)
    for index in range(count):
        medium.write(lba + index, data_out[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES])
    return b""


def _write_same(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    _refuse(cdb, PROTECT_MASK | WRITE_SAME_MASK)
    lba, count = _extent(medium, cdb, MAX_TRANSFER_BLOCKS)
    # Zero blocks would mean "to the end"; WSNZ is set here, SBC-3 WRITE SAME.
    if not count:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    if len(data_out) < BLOCK_BYTES:
        raise CheckCondition(DATA_PHASE_ERROR)
    for index in range(count):
        medium.write(lba + index, data_out[:BLOCK_BYTES])
    return b""


def _no_data(medium: Medium, cdb: bytes, data_out: bytes) -> bytes:
    """VERIFY without comparison, SYNCHRONIZE CACHE: there is nothing that could fail."""
    if cdb[0] == VERIFY_10:
        _refuse(cdb, PROTECT_MASK | BYTCHK_MASK)
    _extent(medium, cdb, medium.blocks)
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


def read_capacity_10(medium: Medium) -> bytes:
    """SBC-3 5.15: FFFFFFFFh where the last block does not fit."""
    last = min(medium.blocks - 1, MAX_LBA_10)
    return last.to_bytes(4, "big") + BLOCK_BYTES.to_bytes(4, "big")


def read_capacity_16(medium: Medium, cdb: bytes) -> bytes:
    """SBC-3 5.16."""
    if cdb[1] & 0x1F != READ_CAPACITY_16:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    allocation = int.from_bytes(cdb[10:14], "big")
    last = medium.blocks - 1
    data = last.to_bytes(8, "big") + BLOCK_BYTES.to_bytes(4, "big") + bytes(20)
    return data[:allocation]
