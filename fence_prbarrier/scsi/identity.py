"""INQUIRY data and the designators of VPD page 83h, read strictly."""

from __future__ import annotations

from ..errors import ProtocolError, Truncated
from . import spc

STANDARD_INQUIRY_MINIMUM_BYTES = 36
VPD_HEADER_BYTES = 4

# Which designator names a LU best: SPC-4 7.8.6.2 lists them; NAA first, as
# it is the one that arrays keep unique, then EUI-64, then T10 vendor.
PREFERENCE = (spc.DESIGNATOR_NAA, spc.DESIGNATOR_EUI_64, spc.DESIGNATOR_T10_VENDOR)
_PREFIXES = {
    spc.DESIGNATOR_NAA: "naa.",
    spc.DESIGNATOR_EUI_64: "eui.",
    spc.DESIGNATOR_T10_VENDOR: "t10.",
}


class Inquiry:
    """Standard INQUIRY data: who made the LU, and what kind of device it is."""

    __slots__ = ("qualifier", "device_type", "vendor", "product", "revision")

    def __init__(
        self, qualifier: int, device_type: int, vendor: str, product: str, revision: str
    ) -> None:
        self.qualifier = qualifier
        self.device_type = device_type
        self.vendor = vendor
        self.product = product
        self.revision = revision


class Designator:
    """One identification descriptor of VPD page 83h."""

    __slots__ = ("type", "association", "code_set", "value")

    def __init__(self, type_: int, association: int, code_set: int, value: bytes) -> None:
        self.type = type_
        self.association = association
        self.code_set = code_set
        self.value = value


def parse_inquiry(data: bytes) -> Inquiry:
    """SPC-4 6.6.2, table 175."""
    if len(data) < STANDARD_INQUIRY_MINIMUM_BYTES:
        raise ProtocolError(f"INQUIRY: the reply is short: {len(data)} bytes, 36 expected")
    if data[4] + 5 < STANDARD_INQUIRY_MINIMUM_BYTES:
        raise ProtocolError(f"INQUIRY: {data[4] + 5} bytes declared, at least 36 expected")
    return Inquiry(
        data[0] >> 5,
        data[0] & 0x1F,
        _ascii(data[8:16]),
        _ascii(data[16:32]),
        _ascii(data[32:36]),
    )


def _ascii(field: bytes) -> str:
    """An ASCII field of INQUIRY data, left-aligned and blank-padded (SPC-4 4.3.1)."""
    return field.decode("ascii", "backslashreplace").rstrip(" \0")


def vpd_body(page: int, data: bytes, allocation_length: int) -> bytes:
    """What follows a VPD page's header, its page code and length checked (SPC-4 7.8.1)."""
    name = f"INQUIRY VPD {page:02X}h"
    if len(data) < VPD_HEADER_BYTES:
        raise ProtocolError(f"{name}: the reply is short: {len(data)} bytes, at least 4 expected")
    if data[1] != page:
        raise ProtocolError(f"{name}: page {data[1]:02X}h came instead")
    if data[0] >> 5 != spc.QUALIFIER_CONNECTED:
        raise ProtocolError(f"{name}: peripheral qualifier {data[0] >> 5}: no LU is connected")
    needed = VPD_HEADER_BYTES + int.from_bytes(data[2:4], "big")
    if needed > allocation_length:
        raise Truncated(f"{name}: {needed} bytes do not fit {allocation_length}", needed)
    if len(data) < needed:
        raise ProtocolError(f"{name}: the reply is cut off: {len(data)} of {needed} bytes came")
    if any(data[needed:]):
        raise ProtocolError(f"{name}: {len(data)} bytes came where {needed} were declared")
    return data[VPD_HEADER_BYTES:needed]


def parse_supported_pages(data: bytes, allocation_length: int) -> tuple[int, ...]:
    """VPD page 00h: the page codes, ascending (SPC-4 7.8.15)."""
    return tuple(vpd_body(spc.VPD_SUPPORTED_PAGES, data, allocation_length))


def parse_serial_number(data: bytes, allocation_length: int) -> str:
    """VPD page 80h: the unit serial number (SPC-4 7.8.18)."""
    return _ascii(vpd_body(spc.VPD_UNIT_SERIAL_NUMBER, data, allocation_length)).strip()


def parse_designators(data: bytes, allocation_length: int) -> tuple[Designator, ...]:
    """VPD page 83h: every descriptor (SPC-4 7.8.6.1, table 587)."""
    body = vpd_body(spc.VPD_DEVICE_IDENTIFICATION, data, allocation_length)
    device_type = data[0] & 0x1F
    if device_type != spc.DEVICE_TYPE_DISK:
        raise ProtocolError(
            f"is of peripheral device type {device_type:02X}h, a disk (00h) expected"
        )
    designators = []
    offset = 0
    while offset < len(body):
        header = body[offset : offset + 4]
        if len(header) < 4:
            raise ProtocolError("INQUIRY VPD 83h: a descriptor of less than 4 bytes")
        end = offset + 4 + header[3]
        if end > len(body):
            raise ProtocolError("INQUIRY VPD 83h: a descriptor runs past the page")
        value = body[offset + 4 : end]
        kind, association = header[1] & 0x0F, header[1] >> 4 & 0x03
        designators.append(Designator(kind, association, header[0] & 0x0F, value))
        offset = end
    return tuple(designators)


def name_of_unit(designators: tuple[Designator, ...]) -> str:
    """The LU's identity, the same through every path: ``naa.…``, ``eui.…`` or ``t10.…``.

    Of several of one kind the longest, then the smallest, is taken, so that
    every node takes the same one whatever the order they came in.
    """
    for kind in PREFERENCE:
        values = [
            designator.value
            for designator in designators
            if designator.type == kind
            and designator.association == spc.ASSOCIATION_LOGICAL_UNIT
            and any(designator.value)
        ]
        if values:
            best = min(values, key=lambda value: (-len(value), value))
            if kind == spc.DESIGNATOR_T10_VENDOR:
                return _PREFIXES[kind] + _printable(best)
            return _PREFIXES[kind] + best.hex()
    raise ProtocolError(
        "INQUIRY VPD 83h: no NAA, EUI-64 or T10 vendor designator of the LU, so it"
        " cannot be told apart from others; configure one on the target"
    )


def relative_target_port(designators: tuple[Designator, ...]) -> int | None:
    """The target port that the page came through, None where it is not told (SPC-4 7.8.6.8)."""
    for designator in designators:
        if (designator.type, designator.association) == (
            spc.DESIGNATOR_RELATIVE_TARGET_PORT,
            spc.ASSOCIATION_TARGET_PORT,
        ) and len(designator.value) == 4:
            # Zero is reserved: a port that is not numbered is not known.
            return int.from_bytes(designator.value[2:4], "big") or None
    return None


def _printable(value: bytes) -> str:
    """One word for one value: two values never share a word."""
    word = ""
    for character in value.decode("latin-1"):
        if character == " ":
            word += "_"
        elif character.isascii() and (character.isalnum() or character in "-.:"):
            word += character
        else:
            word += f"%{ord(character):02x}"
    return word
