"""Sense data: fixed format 70h/71h and descriptor format 72h/73h (SPC-4 4.5.2, 4.5.3)."""

from __future__ import annotations

from ..errors import ProtocolError
from . import spc

FIXED_CURRENT = 0x70
FIXED_DEFERRED = 0x71
DESCRIPTOR_CURRENT = 0x72
DESCRIPTOR_DEFERRED = 0x73

# A target may cut fixed sense short, but without bytes 12 and 13 it says nothing
# (SPC-4 4.5.3: ADDITIONAL SENSE LENGTH counts from byte 8).
FIXED_MINIMUM_BYTES = 14
DESCRIPTOR_MINIMUM_BYTES = 8


class Sense:
    """A sense key with its additional sense code; ``deferred`` speaks of an earlier command."""

    __slots__ = ("key", "asc", "ascq", "deferred")

    def __init__(self, key: int, asc: int, ascq: int, deferred: bool = False) -> None:
        self.key = key
        self.asc = asc
        self.ascq = ascq
        self.deferred = deferred

    @property
    def code(self) -> tuple[int, int]:
        """(ADDITIONAL SENSE CODE, ADDITIONAL SENSE CODE QUALIFIER)."""
        return (self.asc, self.ascq)

    def __str__(self) -> str:
        key = spc.SENSE_KEY_NAMES.get(self.key, "reserved sense key")
        words = spc.ASC_NAMES.get(self.code)
        code = f"{self.asc:02X}h/{self.ascq:02X}h"
        text = f"{key}, {words} ({self.key:02X}h/{code})" if words else f"{key} ({code})"
        return f"deferred error: {text}" if self.deferred else text


def parse_sense(data: bytes) -> Sense:
    """Read sense data as it came; ProtocolError where it says nothing that can be relied on."""
    if not data:
        raise ProtocolError("no sense data came with CHECK CONDITION")
    code = data[0] & 0x7F  # bit 7 is VALID, which speaks of the INFORMATION field only
    if code in (FIXED_CURRENT, FIXED_DEFERRED):
        return _fixed(data, code == FIXED_DEFERRED)
    if code in (DESCRIPTOR_CURRENT, DESCRIPTOR_DEFERRED):
        return _descriptor(data, code == DESCRIPTOR_DEFERRED)
    raise ProtocolError(f"sense data has unknown response code {code:02X}h")


def _fixed(data: bytes, deferred: bool) -> Sense:
    if len(data) < FIXED_MINIMUM_BYTES:
        raise ProtocolError(f"fixed sense data is short: {len(data)} bytes")
    if data[7] + 8 < FIXED_MINIMUM_BYTES:
        raise ProtocolError(f"fixed sense data declares {data[7]} additional bytes, 6 needed")
    return Sense(data[2] & 0x0F, data[12], data[13], deferred)


def _descriptor(data: bytes, deferred: bool) -> Sense:
    if len(data) < DESCRIPTOR_MINIMUM_BYTES:
        raise ProtocolError(f"descriptor sense data is short: {len(data)} bytes")
    return Sense(data[1] & 0x0F, data[2], data[3], deferred)
