"""Who may do what under a persistent reservation: SPC-4 5.7.1, tables 45 and 46; SBC-3."""

from __future__ import annotations

from .codes import (
    CLEAR,
    EXCLUSIVE_ACCESS,
    INQUIRY,
    PERSISTENT_RESERVE_IN,
    PERSISTENT_RESERVE_OUT,
    PREEMPT,
    PREEMPT_AND_ABORT,
    READ_10,
    READ_16,
    READ_CAPACITY_10,
    REGISTER,
    REGISTER_AND_IGNORE_EXISTING_KEY,
    REGISTER_AND_MOVE,
    REGISTRANTS_ONLY_TYPES,
    RELEASE,
    REPORT_LUNS,
    REQUEST_SENSE,
    RESERVE,
    SERVICE_ACTION_IN_16,
    SYNCHRONIZE_CACHE_10,
    TEST_UNIT_READY,
    VERIFY_10,
    WRITE_10,
    WRITE_16,
    WRITE_AND_VERIFY_10,
    WRITE_EXCLUSIVE,
    WRITE_EXCLUSIVE_TYPES,
    WRITE_SAME_10,
    WRITE_SAME_16,
)
from .profiles import ALWAYS, AS_READ, AS_WRITE
from .reservations import Reservations
from .values import Call

# "Allowed" for a nexus without access in every column: ALWAYS. "Conflict" only in the columns of
# the Exclusive Access types: AS_READ. "Conflict" in all of them: AS_WRITE.
TABLE = {
    TEST_UNIT_READY: ALWAYS,
    REQUEST_SENSE: ALWAYS,
    INQUIRY: ALWAYS,
    READ_CAPACITY_10: ALWAYS,
    READ_10: AS_READ,
    WRITE_10: AS_WRITE,
    WRITE_AND_VERIFY_10: AS_WRITE,
    VERIFY_10: AS_READ,
    SYNCHRONIZE_CACHE_10: AS_WRITE,
    WRITE_SAME_10: AS_WRITE,
    PERSISTENT_RESERVE_IN: ALWAYS,
    READ_16: AS_READ,
    WRITE_16: AS_WRITE,
    WRITE_SAME_16: AS_WRITE,
    SERVICE_ACTION_IN_16: ALWAYS,
    REPORT_LUNS: ALWAYS,
}
OPEN_TO_UNREGISTERED = frozenset((REGISTER, REGISTER_AND_IGNORE_EXISTING_KEY))
OPEN_TO_REGISTERED = frozenset((CLEAR, PREEMPT, PREEMPT_AND_ABORT, RELEASE))
# Judged by the direction of their data where that is what counts.
BY_DIRECTION = frozenset((RESERVE, REGISTER_AND_MOVE))
ALWAYS_BY_DIRECTION = frozenset(
    (TEST_UNIT_READY, REQUEST_SENSE, INQUIRY, REPORT_LUNS, PERSISTENT_RESERVE_IN)
)


def conflicts(reservations: Reservations, call: Call) -> bool:
    """Whether the reservation that stands forbids this command to this I_T nexus.

    What a PERSISTENT RESERVE OUT service action checks itself, its reservation key above all, is
    not asked here.
    """
    kind = reservations.type
    if not kind:
        return False
    if reservations.profile.access_by_direction:
        return _conflicts_by_direction(reservations, call)
    registration = reservations.of(call.nexus)
    opcode, cdb = call.opcode, call.cdb
    if opcode == PERSISTENT_RESERVE_OUT:
        return registration is None and cdb[1] & 0x1F not in OPEN_TO_UNREGISTERED
    if reservations.holds(registration):
        return False
    profile = reservations.profile
    # An operation code that is in no table gets its INVALID COMMAND OPERATION CODE later.
    fare = profile.access.get(opcode) or TABLE.get(opcode, ALWAYS)
    if fare == ALWAYS:
        return False
    if registration is not None and kind in REGISTRANTS_ONLY_TYPES:
        return False
    return fare == AS_WRITE or kind not in WRITE_EXCLUSIVE_TYPES


def _conflicts_by_direction(reservations: Reservations, call: Call) -> bool:
    """[lio] target_scsi3_pr_reservation_check and core_scsi3_pr_seq_non_holder."""
    registration = reservations.of(call.nexus)
    if registration is not None and registration is reservations.holder:
        return False
    if call.opcode in ALWAYS_BY_DIRECTION:
        return False
    if call.opcode == PERSISTENT_RESERVE_OUT:
        if call.action in OPEN_TO_UNREGISTERED:
            return False
        if call.action in OPEN_TO_REGISTERED:
            if registration is not None:
                return False
        elif call.action not in BY_DIRECTION:
            return True
    if registration is None:
        return bool(call.data_out) or reservations.type not in WRITE_EXCLUSIVE_TYPES
    if reservations.type == WRITE_EXCLUSIVE:
        return not call.data_in_length
    return reservations.type == EXCLUSIVE_ACCESS
