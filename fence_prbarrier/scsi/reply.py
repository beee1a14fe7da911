"""Replies of PERSISTENT RESERVE IN, read strictly.

A reply that is short, longer than it declares, or at odds with itself is a
ProtocolError; a reply that declares more than the buffer held is Truncated and
is read again.  An empty list is only ever the answer of a device that said so.
"""

from __future__ import annotations

from sys import intern

from ..errors import ProtocolError, Truncated
from ..key import Key
from . import spc
from .transport_id import describe_transport_id, has_right_length

HEADER_BYTES = 8
KEY_BYTES = 8
FULL_STATUS_DESCRIPTOR_BYTES = 24
# The longest TransportID is an iSCSI one: 4 bytes of header, a name of 223
# bytes, ",i,0x", twelve digits, NUL, padding (RFC 7143 4.2.7.1, SPC-4 7.6.4.5).
LONGEST_TRANSPORT_ID_BYTES = 252
LARGEST_FULL_STATUS_DESCRIPTOR_BYTES = FULL_STATUS_DESCRIPTOR_BYTES + LONGEST_TRANSPORT_ID_BYTES


class OddTransportID(ProtocolError):
    """A registration whose nexus cannot be read; READ KEYS does not need it."""


class Reservation:
    """The persistent reservation of a LU; ``key`` is None for the all-registrants types."""

    __slots__ = ("key", "scope", "type")

    def __init__(self, key: Key | None, scope: int, type_: int) -> None:
        self.key = key
        self.scope = scope
        self.type = type_

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reservation):
            return NotImplemented
        return (self.key, self.scope, self.type) == (other.key, other.scope, other.type)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        name = spc.TYPE_NAMES.get(self.type, "unknown type")
        return f"type {self.type} ({name})"


class Registration:
    """One I_T nexus's registration, as READ FULL STATUS tells it.

    ``port`` is the relative target port, None with ``all_target_ports``;
    ``initiator`` the TransportID in words.
    """

    __slots__ = ("key", "holder", "reservation", "all_target_ports", "port", "initiator")

    def __init__(
        self,
        key: Key,
        holder: bool = False,
        reservation: Reservation | None = None,
        all_target_ports: bool = False,
        port: int | None = None,
        initiator: str = "",
    ) -> None:
        self.key = key
        self.holder = holder
        self.reservation = reservation
        self.all_target_ports = all_target_ports
        self.port = port
        self.initiator = initiator

    @property
    def initiator_name(self) -> str:
        """The initiator without the session: an iSCSI name loses its ISID (SPC-4 7.6.4.5)."""
        return self.initiator.partition(",i,")[0]


class Capabilities:
    """REPORT CAPABILITIES; ``types`` is None where the target does not say (TMV is zero)."""

    __slots__ = ("aptpl_capable", "aptpl_active", "all_target_ports", "types")

    def __init__(
        self,
        aptpl_capable: bool,
        aptpl_active: bool,
        all_target_ports: bool,
        types: frozenset[int] | None,
    ) -> None:
        self.aptpl_capable = aptpl_capable
        self.aptpl_active = aptpl_active
        self.all_target_ports = all_target_ports
        self.types = types


def _body(name: str, data: bytes, allocation_length: int) -> tuple[int, bytes]:
    """(PRGENERATION, what follows the header), checked against the declared length."""
    if len(data) < HEADER_BYTES:
        raise ProtocolError(f"{name}: the reply is short: {len(data)} bytes, at least 8 expected")
    generation = int.from_bytes(data[0:4], "big")
    needed = HEADER_BYTES + int.from_bytes(data[4:8], "big")
    if needed > allocation_length:
        raise Truncated(f"{name}: {needed} bytes do not fit {allocation_length}", needed)
    if len(data) < needed:
        raise ProtocolError(f"{name}: the reply is cut off: {len(data)} of {needed} bytes came")
    # Some transports hand over the whole buffer without a residual: what lies
    # beyond the declared length must then be the zeros that the buffer began with.
    if data[needed:] != bytes(len(data) - needed):
        raise ProtocolError(f"{name}: {len(data)} bytes came where {needed} were declared")
    return generation, data[HEADER_BYTES:needed]


def require_room(name: str, data: bytes, allocation_length: int, entry_bytes: int) -> None:
    """Truncated where one more entry would not have fitted the buffer.

    Such a list is not believed to be whole: Linux LIO 6.1 leaves out of READ
    FULL STATUS what does not fit, older ones did so in READ KEYS, and both
    declare the length of what they kept.
    """
    if len(data) < HEADER_BYTES:
        return  # too short to declare anything; the parser refuses it
    used = HEADER_BYTES + int.from_bytes(data[4:8], "big")
    if allocation_length - used < entry_bytes:
        raise Truncated(
            f"{name}: {used} bytes nearly fill {allocation_length}", 2 * allocation_length
        )


def parse_read_keys(data: bytes, allocation_length: int) -> tuple[int, tuple[Key, ...]]:
    """(PRGENERATION, the key of each registered nexus).  SPC-4 6.15.2, table 210."""
    generation, body = _body("READ KEYS", data, allocation_length)
    if len(body) % 8:
        raise ProtocolError(f"READ KEYS: a list of {len(body)} bytes is not whole keys")
    return generation, tuple(
        _registered_key("READ KEYS", body[offset : offset + 8]) for offset in range(0, len(body), 8)
    )


def _registered_key(name: str, field: bytes) -> Key:
    value = int.from_bytes(field, "big")
    if not value:
        raise ProtocolError(f"{name}: a registration with key zero cannot be")
    return Key(value)


def parse_read_reservation(data: bytes, allocation_length: int) -> tuple[int, Reservation | None]:
    """(PRGENERATION, the reservation if one stands).  SPC-4 6.15.3, table 211."""
    name = "READ RESERVATION"
    generation, body = _body(name, data, allocation_length)
    if not body:
        return generation, None
    if len(body) != 16:
        raise ProtocolError(f"{name}: additional length is {len(body)}, 0 or 16 expected")
    return generation, _reservation(name, int.from_bytes(body[0:8], "big"), body[13])


def _reservation(name: str, key: int, scope_and_type: int) -> Reservation:
    scope, type_ = scope_and_type >> 4, scope_and_type & 0x0F
    if type_ not in spc.TYPE_NAMES:
        raise ProtocolError(f"{name}: reservation type {type_:X}h is not one of the standard's")
    if type_ in spc.ALL_REGISTRANTS_TYPES:
        return Reservation(None, scope, type_)  # SPC-4 6.15.3.2: the key field is zero
    if not key:
        raise ProtocolError(f"{name}: a reservation of type {type_} without a holder's key")
    return Reservation(Key(key), scope, type_)


def parse_capabilities(data: bytes, allocation_length: int) -> Capabilities:
    """SPC-4 6.15.4, table 216."""
    name = "REPORT CAPABILITIES"
    if len(data) < 8:
        raise ProtocolError(f"{name}: the reply is short: {len(data)} bytes, 8 expected")
    length = int.from_bytes(data[0:2], "big")
    if length != 8:
        raise ProtocolError(f"{name}: declared length {length}, 8 expected")
    if any(data[8:]):
        raise ProtocolError(f"{name}: {len(data)} bytes came where 8 were declared")
    types = None
    if data[3] & 0x80:  # TMV: the type mask is valid
        mask = data[4] | data[5] << 8
        # Bit n of byte 4 stands for type n; byte 5 bit 0 for type 8 (table 217).
        types = frozenset(number for number in spc.TYPE_NAMES if mask >> number & 1)
    return Capabilities(bool(data[2] & 0x01), bool(data[3] & 0x01), bool(data[2] & 0x04), types)


def parse_read_full_status(
    data: bytes, allocation_length: int
) -> tuple[int, tuple[Registration, ...]]:
    """(PRGENERATION, every registration).  SPC-4 6.15.5, tables 218 and 219."""
    name = "READ FULL STATUS"
    generation, body = _body(name, data, allocation_length)
    registrations = []
    offset = 0
    while offset < len(body):
        registration, offset = _descriptor(name, body, offset)
        registrations.append(registration)
    return generation, tuple(registrations)


def _descriptor(name: str, body: bytes, offset: int) -> tuple[Registration, int]:
    fixed = body[offset : offset + FULL_STATUS_DESCRIPTOR_BYTES]
    if len(fixed) < FULL_STATUS_DESCRIPTOR_BYTES:
        raise ProtocolError(f"{name}: a descriptor of {len(fixed)} bytes, at least 24 expected")
    end = offset + len(fixed) + int.from_bytes(fixed[20:24], "big")
    if end > len(body):
        raise ProtocolError(f"{name}: a descriptor runs {end - len(body)} bytes past the list")
    key = _registered_key(name, fixed[0:8])
    holder = bool(fixed[12] & 0x01)
    all_target_ports = bool(fixed[12] & 0x02)
    transport_id = body[offset + len(fixed) : end]
    if not has_right_length(transport_id):
        raise OddTransportID(
            f"{name}: a TransportID of {len(transport_id)} bytes is not of its form"
        )
    registration = Registration(
        key,
        holder,
        _reservation(name, key, fixed[13]) if holder else None,
        all_target_ports,
        None if all_target_ports else int.from_bytes(fixed[18:20], "big"),
        # One text for all LUs and paths: a node's name stands in every list.
        intern(describe_transport_id(transport_id)),
    )
    return registration, end
