"""PERSISTENT RESERVE IN and PERSISTENT RESERVE OUT as bytes, SPC-4 6.15 and 6.16."""

from __future__ import annotations

from . import ports
from .codes import (
    CLEAR,
    INVALID_FIELD_IN_CDB,
    LU_SCOPE,
    PREEMPT,
    PREEMPT_AND_ABORT,
    READ_FULL_STATUS,
    READ_KEYS,
    READ_RESERVATION,
    REGISTER,
    REGISTER_AND_IGNORE_EXISTING_KEY,
    REGISTER_AND_MOVE,
    RELEASE,
    REPORT_CAPABILITIES,
    RESERVE,
)
from .registrations import Effect, Registration, Request
from .reservations import Reservations
from .values import CheckCondition, Nexus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .profiles import Spec

SERVICE_ACTION_MASK = 0x1F
PARAMETER_LIST_BYTES = 24  # 6.16.3, without TransportIDs
SPEC_I_PT = 0x08
ALL_TG_PT = 0x04
APTPL = 0x01
RESERVED_PARAMETER_BITS = 0xF2

ATP_C = 0x04
PTPL_C = 0x01
PTPL_A = 0x01
# PERSISTENT RESERVATION TYPE MASK, 6.15.4: WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX and in
# the second byte EX_AC_AR.
TYPE_MASK = bytes((0xEA, 0x01))

TYPE_BYTE = 21  # SCOPE and TYPE in READ RESERVATION
R_HOLDER = 0x01
ALL_TG_PT_STATUS = 0x02


class Abilities:
    """What this unit offers: REPORT CAPABILITIES says it and REGISTER honours it."""

    __slots__ = ("aptpl", "all_tg_pt")

    def __init__(self, aptpl: bool, all_tg_pt: bool) -> None:
        self.aptpl = aptpl
        self.all_tg_pt = all_tg_pt


# --- PERSISTENT RESERVE OUT ----------------------------------------------------------------------

OUT_ACTIONS: dict[int, Callable[[Reservations, Request], Effect]] = {
    REGISTER: Reservations.register,
    RESERVE: Reservations.reserve,
    RELEASE: Reservations.release,
    CLEAR: Reservations.clear,
    PREEMPT: Reservations.preempt,
    PREEMPT_AND_ABORT: Reservations.preempt,
    REGISTER_AND_IGNORE_EXISTING_KEY: Reservations.register,
}
REGISTERING = frozenset((REGISTER, REGISTER_AND_IGNORE_EXISTING_KEY))


def reserve_out(
    state: Reservations,
    abilities: Abilities,
    known: Collection[Nexus],
    nexus: Nexus,
    cdb: bytes,
    data_out: bytes,
) -> Effect:
    """Run one PERSISTENT RESERVE OUT; raises CheckCondition or Conflict."""
    action = cdb[1] & SERVICE_ACTION_MASK
    handler = OUT_ACTIONS.get(action)
    if action == REGISTER_AND_MOVE and state.profile.can_name_ports:
        handler = ports.register_and_move
    supported = handler is not None and action not in state.profile.unsupported_out
    if not supported and not state.profile.unsupported_out_last:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    with_ports = _check_list(state.profile, cdb, data_out)
    if handler is None or not supported:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    # REGISTER AND MOVE has a list of its own, 6.16.4.
    flags = 0 if action == REGISTER_AND_MOVE else data_out[20]
    # ALL_TG_PT and APTPL mean something to the registering service actions only, 6.16.3.
    if action in REGISTERING:
        if flags & ALL_TG_PT and not abilities.all_tg_pt:
            raise CheckCondition(state.profile.bad_parameter_bit)
        if flags & APTPL and not abilities.aptpl:
            raise CheckCondition(state.profile.bad_parameter_bit)
    request = Request(
        nexus,
        action,
        cdb[2],
        int.from_bytes(data_out[0:8], "big"),
        int.from_bytes(data_out[8:16], "big"),
        bool(flags & ALL_TG_PT),
        bool(flags & APTPL),
        with_ports,
        known,
    )
    return handler(state, request)


def _check_list(profile: type[Spec], cdb: bytes, data_out: bytes) -> bytes:
    """Refuse a wrong parameter list; all of it where it may bear TransportIDs, else nothing."""
    action = cdb[1] & SERVICE_ACTION_MASK
    if profile.checks_reserved_bits and (cdb[1] & ~SERVICE_ACTION_MASK or cdb[3] or cdb[4]):
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    length = int.from_bytes(cdb[5:9], "big")
    if length < PARAMETER_LIST_BYTES or len(data_out) < length:
        raise CheckCondition(profile.bad_length)
    if action == REGISTER_AND_MOVE and profile.can_name_ports:
        return bytes(data_out[:length])
    # Where SIP_C is zero, SPEC_I_PT is refused before the length that would go with it.
    if data_out[20] & SPEC_I_PT:
        if profile.can_name_ports and action == REGISTER:
            return bytes(data_out[:length])
        raise CheckCondition(profile.bad_parameter_bit)
    if length != PARAMETER_LIST_BYTES:
        raise CheckCondition(profile.bad_length)
    if profile.checks_reserved_bits and (data_out[20] & RESERVED_PARAMETER_BITS or data_out[21]):
        raise CheckCondition(profile.bad_parameter_bit)
    return b""


# --- PERSISTENT RESERVE IN -----------------------------------------------------------------------


def reserve_in(state: Reservations, abilities: Abilities, cdb: bytes) -> bytes:
    """The parameter data of one PERSISTENT RESERVE IN, cut at its allocation length."""
    profile = state.profile
    action = cdb[1] & SERVICE_ACTION_MASK
    handler = IN_ACTIONS.get(action)
    if handler is None or action in profile.unsupported_in:
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    if profile.checks_reserved_bits and (cdb[1] & ~SERVICE_ACTION_MASK or any(cdb[2:7])):
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    allocation = int.from_bytes(cdb[7:9], "big")
    if allocation < profile.minimum_lengths.get(action, 0):
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    return handler(state, abilities, allocation)[:allocation]


def _header(state: Reservations, additional: int) -> bytes:
    return state.generation.to_bytes(4, "big") + additional.to_bytes(4, "big")


def _read_keys(state: Reservations, abilities: Abilities, allocation: int) -> bytes:
    """6.15.2: one key for each registration, so a key may stand there more than once."""
    keys = [each.key.to_bytes(8, "big") for each in state.registrations]
    if state.profile.short_key_list:
        del keys[allocation // 8 :]
    if state.profile.zeros_for_parts:
        keys[allocation // 8 - 1 :] = [bytes(8)] * len(keys[allocation // 8 - 1 :])
    return _header(state, 8 * len(keys)) + b"".join(keys)


def _read_reservation(state: Reservations, abilities: Abilities, allocation: int) -> bytes:
    """6.15.3."""
    if not state.type:
        return _header(state, 0)
    data = bytearray(_header(state, 16) + state.holder_key().to_bytes(8, "big") + bytes(8))
    data[TYPE_BYTE] = LU_SCOPE << 4 | state.type
    if state.profile.zeros_for_parts and allocation <= TYPE_BYTE:
        data[8:] = bytes(16)
    if state.profile.refuses_short_reservation and allocation < len(data):
        raise CheckCondition(INVALID_FIELD_IN_CDB)
    return bytes(data)


def _report_capabilities(state: Reservations, abilities: Abilities, allocation: int) -> bytes:
    """6.15.4."""
    byte_2, byte_3 = state.profile.capability_bytes
    if abilities.all_tg_pt:
        byte_2 |= ATP_C
    if abilities.aptpl:
        byte_2 |= PTPL_C
    if state.aptpl:
        byte_3 |= PTPL_A
    return bytes((0, 8, byte_2, byte_3)) + TYPE_MASK + bytes(2)


def _read_full_status(state: Reservations, abilities: Abilities, allocation: int) -> bytes:
    """6.15.5."""
    body = b""
    for registration in state.registrations:
        descriptor = _full_status_descriptor(state, registration)
        # [lio] compares the length so far plus that of the TransportID alone, so the last
        # descriptor may run past the end of the buffer, and is then cut and declared.
        transport_id_bytes = len(descriptor) - 24
        if state.profile.short_full_status and len(body) + transport_id_bytes > allocation:
            break
        body += descriptor
    return _header(state, len(body)) + body


def _full_status_descriptor(state: Reservations, registration: Registration) -> bytes:
    transport_id = ports.iscsi_transport_id(registration.nexus)
    head = bytearray(24)
    head[0:8] = registration.key.to_bytes(8, "big")
    if registration.all_tg_pt:
        head[12] |= ALL_TG_PT_STATUS
    else:
        head[18:20] = registration.nexus.port.to_bytes(2, "big")
    if state.holds(registration):
        head[12] |= R_HOLDER
        head[13] = LU_SCOPE << 4 | state.type
    head[20:24] = len(transport_id).to_bytes(4, "big")
    return bytes(head) + transport_id


IN_ACTIONS: dict[int, Callable[[Reservations, Abilities, int], bytes]] = {
    READ_KEYS: _read_keys,
    READ_RESERVATION: _read_reservation,
    REPORT_CAPABILITIES: _report_capabilities,
    READ_FULL_STATUS: _read_full_status,
}
