"""Initiator ports named in parameter data: TransportIDs, SPEC_I_PT, REGISTER AND MOVE.

A port that has sent no command yet is not known here, and refused.

Optional in the standard, and so only in the profiles that say so; in the order of
[lio] core_scsi3_decode_spec_i_port and core_scsi3_emulate_pro_register_and_move.
"""

from __future__ import annotations

from .codes import ALL_REGISTRANTS_TYPES, INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_PARAMETER_LIST
from .registrations import Effect, Registration, Request
from .values import CheckCondition, Conflict, Nexus, SimulatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reservations import Reservations

ISCSI_WITH_ISID = 0x45  # FORMAT CODE 01b, PROTOCOL IDENTIFIER 5h, 7.6.4
MINIMUM_ISCSI_NAME_BYTES = 20
HEAD_BYTES = 4
SEPARATOR = b",i,0x"
UNREG, APTPL = 0x02, 0x01  # byte 17 of the list of REGISTER AND MOVE


def iscsi_transport_id(nexus: Nexus) -> bytes:
    """7.6.4: name, `,i,0x`, ISID in hex; NUL terminated, padded to a multiple of four."""
    name = f"{nexus.initiator},i,0x{nexus.isid}".encode("ascii") + b"\0"
    name += bytes(-len(name) % 4)
    name = name.ljust(MINIMUM_ISCSI_NAME_BYTES, b"\0")
    return bytes((ISCSI_WITH_ISID, 0)) + len(name).to_bytes(2, "big") + name


def _parse(data: bytes) -> tuple[Nexus, int]:
    """The initiator port that a TransportID names, at target port 1, and its length."""
    length = int.from_bytes(data[2:4], "big") + HEAD_BYTES
    fits = HEAD_BYTES + MINIMUM_ISCSI_NAME_BYTES <= length <= len(data)
    name, separator, isid = data[HEAD_BYTES:length].partition(SEPARATOR)
    if not fits or data[0] & 0xCF != ISCSI_WITH_ISID or not separator:
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
    try:
        text = isid.partition(b"\0")[0].decode("ascii").lower()
        return Nexus(name.decode("ascii"), text), length
    except (SimulatorError, UnicodeDecodeError):
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST) from None


def named(state: Reservations, request: Request) -> list[Nexus]:
    """The I_T nexuses that REGISTER with SPEC_I_PT registers beside its own, 6.16.3."""
    rest = request.with_ports[28:]
    if len(request.with_ports) < 28 or request.with_ports[24:28] != len(rest).to_bytes(4, "big"):
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
    found = []
    while rest:
        nexus, length = _parse(rest)
        nexus = Nexus(nexus.initiator, nexus.isid, request.nexus.port)
        if nexus not in request.known:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
        if state.of(nexus) is None and nexus != request.nexus and nexus not in found:
            found.append(nexus)
        rest = rest[length:]
    return found


def register_and_move(state: Reservations, request: Request) -> Effect:
    """5.7.8 and 6.16.4."""
    own = state.registered(request)
    data = request.with_ports
    port, length = int.from_bytes(data[18:20], "big"), int.from_bytes(data[20:24], "big")
    if not request.action_key or length + 24 != len(data):
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
    nexus = _parse(data[24:])[0]
    if not port:
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
    nexus = Nexus(nexus.initiator, nexus.isid, port)
    if nexus not in request.known or nexus.same_initiator_port(own.nexus):
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
    if not state.type:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    if not state.holds(own) or state.type in ALL_REGISTRANTS_TYPES:
        raise Conflict
    there = state.of(nexus)
    if there is None:
        there = Registration(nexus, request.action_key, False)
        state.registrations.append(there)
    there.key = request.action_key
    state.move(own, there)
    if data[17] & UNREG:
        state.registrations.remove(own)
    state.aptpl = bool(data[17] & APTPL)
    state.count()
    return Effect()
