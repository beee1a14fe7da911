"""An independent, plain reading of SCSI replies: what the bytes say, or None.

Written from SPC-4 with struct and nothing of fence_prbarrier, to be compared
with its parsers.  None: the bytes are short, cut off, too long for the buffer,
or at odds with themselves, so nothing may be read from them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ALL_REGISTRANTS = (7, 8)
TYPES = (1, 3, 5, 6, 7, 8)
# (key or 0 for the all registrants types, scope, type)
Held = tuple[int, int, int]


class Registrant(NamedTuple):
    """One full status descriptor."""

    key: int
    holder: bool
    all_target_ports: bool
    port: int | None
    held: Held | None
    transport_id: bytes


def listed(data: bytes, room: int) -> tuple[int, bytes] | None:
    """(PRGENERATION, the list), SPC-4 6.15.2: what follows the list may only be zeros."""
    if len(data) < 8:
        return None
    generation, length = struct.unpack(">II", data[:8])
    if 8 + length > min(room, len(data)) or data[8 + length :].strip(b"\0"):
        return None
    return generation, data[8 : 8 + length]


def keys(data: bytes, room: int) -> tuple[int, tuple[int, ...]] | None:
    """(PRGENERATION, keys) of READ KEYS."""
    found = listed(data, room)
    if found is None or len(found[1]) % 8:
        return None
    values = struct.unpack(f">{len(found[1]) // 8}Q", found[1])
    return (found[0], values) if all(values) else None


def _held(key: int, scope_and_type: int) -> Held | None:
    scope, kind = divmod(scope_and_type, 16)
    if kind in ALL_REGISTRANTS:
        return (0, scope, kind)
    return (key, scope, kind) if kind in TYPES and key else None


def reservation(data: bytes, room: int) -> tuple[int, Held | None] | None:
    """(PRGENERATION, what is held) of READ RESERVATION."""
    found = listed(data, room)
    if found is None:
        return None
    generation, body = found
    if not body:
        return generation, None
    if len(body) != 16:
        return None
    held = _held(*struct.unpack(">Q5xB2x", body))
    return None if held is None else (generation, held)


def full_status(data: bytes, room: int) -> tuple[int, tuple[Registrant, ...]] | None:
    """(PRGENERATION, descriptors) of READ FULL STATUS."""
    found = listed(data, room)
    if found is None:
        return None
    generation, rest = found
    registrants = []
    while rest:
        if len(rest) < 24:
            return None
        key, flags, scope_and_type, port, more = struct.unpack(">Q4xBB4xHI", rest[:24])
        identifier, rest = rest[24 : 24 + more], rest[24 + more :]
        holder, everywhere = bool(flags & 1), bool(flags & 2)
        held = _held(key, scope_and_type) if holder else None
        if not key or len(identifier) != more or not _is_transport_id(identifier):
            return None
        if holder and held is None:
            return None
        registrants.append(
            Registrant(key, holder, everywhere, None if everywhere else port, held, identifier)
        )
    return generation, tuple(registrants)


def _is_transport_id(data: bytes) -> bool:
    """Whole, and as long as its protocol says (SPC-4 7.6.4)."""
    if len(data) < 24 or len(data) % 4:
        return False
    protocol, form = data[0] % 16, data[0] // 64
    if protocol == 5:
        return form < 2 and struct.unpack(">H", data[2:4])[0] == len(data) - 4
    return protocol not in (0, 1, 3, 4, 6) or len(data) == 24


def initiator(data: bytes) -> str:
    """The name that an iSCSI, FC, SAS or SRP TransportID bears; empty for any other."""
    protocol = data[0] % 16
    if protocol == 5:
        return data[4:].split(b"\0")[0].decode("utf-8", "backslashreplace")
    start, end = {0: (8, 16), 6: (4, 12), 4: (8, 24)}.get(protocol, (0, 0))
    return data[start:end].hex()


def held_of(registrants: tuple[Registrant, ...]) -> tuple[bool, Held | None]:
    """(whether the holders agree, what is held) of one full status."""
    holders = [each.held for each in registrants if each.held is not None]
    if not holders:
        return True, None
    one_kind = all(each == holders[0] for each in holders)
    return one_kind and (len(holders) == 1 or not holders[0][0]), holders[0]


def capabilities(data: bytes) -> tuple[bool, bool, bool, frozenset[int] | None] | None:
    """(PTPL_C, PTPL_A, ATP_C, types or None) of REPORT CAPABILITIES."""
    if len(data) < 8 or data[:2] != b"\0\x08" or data[8:].strip(b"\0"):
        return None
    types = None
    if data[3] >= 0x80:
        bits = (data[5] << 8) + data[4]
        types = frozenset(number for number in TYPES if bits & (1 << number))
    return data[2] % 2 == 1, data[3] % 2 == 1, data[2] & 4 == 4, types


def sense(data: bytes) -> tuple[int, int, int, bool] | None:
    """(sense key, ASC, ASCQ, deferred), SPC-4 4.5.2 and 4.5.3."""
    if not data:
        return None
    code = data[0] % 128
    if code in (0x70, 0x71):
        # Both codes must have come, and be declared.
        if len(data) < 14 or data[7] < 6:
            return None
        return data[2] % 16, data[12], data[13], code == 0x71
    if code in (0x72, 0x73) and len(data) >= 8:
        return data[1] % 16, data[2], data[3], code == 0x73
    return None


def vpd(page: int, data: bytes, room: int) -> bytes | None:
    """What follows the header of a VPD page, SPC-4 7.8.1; the LU must be connected."""
    if len(data) < 4 or data[1] != page or data[0] >= 32:
        return None
    length = struct.unpack(">H", data[2:4])[0]
    if 4 + length > min(room, len(data)) or data[4 + length :].strip(b"\0"):
        return None
    return data[4 : 4 + length]


def designators(data: bytes, room: int) -> tuple[tuple[int, int, int, bytes], ...] | None:
    """(type, association, code set, value) of each descriptor of page 83h of a disk."""
    rest = vpd(0x83, data, room)
    if rest is None or data[0] % 32:
        return None
    found = []
    while rest:
        if len(rest) < 4 or len(rest) < 4 + rest[3]:
            return None
        value = rest[4 : 4 + rest[3]]
        found.append((rest[1] % 16, rest[1] // 16 % 4, rest[0] % 16, value))
        rest = rest[4 + rest[3] :]
    return tuple(found)
