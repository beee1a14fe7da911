"""Who the logical unit says it is: INQUIRY, SPC-4 6.6 and 7.8, and REPORT LUNS, 6.33."""

from __future__ import annotations

from binascii import crc32

from .codes import INVALID_FIELD_IN_CDB
from .profiles import Spec
from .values import CheckCondition, Nexus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EVPD = 0x01
VERSION_SPC_4 = 0x06
HISUP_AND_FORMAT = 0x12  # HISUP, RESPONSE DATA FORMAT 2h
CMDQUE = 0x02
STANDARD_BYTES = 96

SUPPORTED_PAGES = 0x00
UNIT_SERIAL_NUMBER = 0x80
DEVICE_IDENTIFICATION = 0x83

# Designators, 7.8.6.2
BINARY = 0x1
ASCII = 0x2
ISCSI_PROTOCOL = 0x50
PIV_TARGET_PORT = 0x90
T10_VENDOR = 0x1
NAA = 0x3
RELATIVE_TARGET_PORT = 0x4
NAA_IEEE_REGISTERED_EXTENDED = 0x6

# REPORT LUNS SELECT REPORT values 00h to 02h, 6.33
MAX_SELECT_REPORT = 0x02


def inquiry(profile: type[Spec], serial: str, nexus: Nexus, cdb: bytes) -> bytes:
    allocation = int.from_bytes(cdb[3:5], "big")
    page = cdb[2]
    if cdb[1] & ~EVPD:  # CMDDT is obsolete, the rest reserved
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    if not cdb[1] & EVPD:
        if page:
            raise CheckCondition(INVALID_FIELD_IN_CDB)
        return _standard(profile)[:allocation]
    handler = PAGES.get(page)
    if handler is None:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    body = handler(profile, serial, nexus)
    return (bytes((0, page)) + len(body).to_bytes(2, "big") + body)[:allocation]


def _padded(text: str, length: int) -> bytes:
    return text.encode("ascii").ljust(length)[:length]


def _standard(profile: type[Spec]) -> bytes:
    data = bytearray(STANDARD_BYTES)
    data[2] = VERSION_SPC_4
    data[3] = HISUP_AND_FORMAT
    data[4] = STANDARD_BYTES - 5
    data[7] = CMDQUE
    data[8:16] = _padded(profile.vendor, 8)
    data[16:32] = _padded(profile.product, 16)
    data[32:36] = _padded(profile.revision, 4)
    return bytes(data)


def _supported_pages(profile: type[Spec], serial: str, nexus: Nexus) -> bytes:
    return bytes(sorted(PAGES))


def _serial_number(profile: type[Spec], serial: str, nexus: Nexus) -> bytes:
    return serial.encode("ascii")


def naa_designator(profile: type[Spec], serial: str) -> bytes:
    """NAA 6h: the company_id, then 100 bits that the serial alone decides.

    Two checksums of two different linear functions of the text, and its length: serials that a
    test gives to its units are then different units.
    """
    text = serial.encode("ascii")
    digits = f"{crc32(text):08x}{crc32(text[::-1]):08x}{len(text):02x}0000000"
    return bytes.fromhex(f"{NAA_IEEE_REGISTERED_EXTENDED:x}{profile.company_id:06x}{digits}")


def _designator(code_set: int, kind: int, value: bytes) -> bytes:
    return bytes((code_set, kind, 0, len(value))) + value


def _device_identification(profile: type[Spec], serial: str, nexus: Nexus) -> bytes:
    t10 = _padded(profile.vendor, 8) + serial.encode("ascii")
    port = bytes(2) + nexus.port.to_bytes(2, "big")
    return b"".join(
        (
            _designator(BINARY, NAA, naa_designator(profile, serial)),
            _designator(ASCII, T10_VENDOR, t10),
            _designator(ISCSI_PROTOCOL | BINARY, PIV_TARGET_PORT | RELATIVE_TARGET_PORT, port),
        )
    )


PAGES: dict[int, Callable[[type[Spec], str, Nexus], bytes]] = {
    SUPPORTED_PAGES: _supported_pages,
    UNIT_SERIAL_NUMBER: _serial_number,
    DEVICE_IDENTIFICATION: _device_identification,
}


def report_luns(cdb: bytes) -> bytes:
    """One logical unit, LUN 0; no well known ones."""
    if cdb[2] > MAX_SELECT_REPORT:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    allocation = int.from_bytes(cdb[6:10], "big")
    luns = b"" if cdb[2] == 0x01 else bytes(8)
    return (len(luns).to_bytes(4, "big") + bytes(4) + luns)[:allocation]
