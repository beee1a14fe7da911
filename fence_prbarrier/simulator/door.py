"""What refuses a command before it does anything, and in which order: SAM-3 5.3.2, SAM-5 5.14."""

from __future__ import annotations

from . import access, medium
from .codes import (
    BUS_DEVICE_RESET_FUNCTION_OCCURRED,
    INQUIRY,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_COMMAND_IU,
    INVALID_OPERATION_CODE,
    PERSISTENT_RESERVE_OUT,
    READ_CAPACITY_16,
    REPORT_LUNS,
    REQUEST_SENSE,
    SERVICE_ACTION_IN_16,
    UNIT_ATTENTION,
)
from .profiles import Spec
from .values import Call, CheckCondition, Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from .reservations import Reservations

NACA = 0x04  # CONTROL byte, SAM-5 5.2
NOT_BLOCKED_BY_ATTENTION = frozenset((INQUIRY, REPORT_LUNS, REQUEST_SENSE))
RESET_ASC = BUS_DEVICE_RESET_FUNCTION_OCCURRED[0]


class Door:
    """The checks of one logical unit; raises CheckCondition or Conflict."""

    __slots__ = ("profile", "medium", "known")

    def __init__(self, profile: type[Spec], blocks: medium.Medium, known: Container[int]) -> None:
        self.profile = profile
        self.medium = blocks
        self.known = known  # operation codes

    def admit(self, state: Reservations, pending: list[tuple[int, int]], call: Call) -> None:
        """Refuse by reservation and unit attention, and by the CDB where that comes first."""
        if self.profile.cdb_before_attention:
            self.check_cdb(call)
        conflict = access.conflicts(state, call)
        if conflict and not self.profile.attention_before_conflict:
            raise Conflict
        if pending and call.opcode not in NOT_BLOCKED_BY_ATTENTION:
            raise CheckCondition(report(self.profile, pending))
        if conflict:
            raise Conflict

    def check_cdb(self, call: Call) -> None:
        """Refuse a CDB that no state of the unit would make right."""
        cdb = call.cdb
        if call.opcode not in self.known:
            raise CheckCondition(INVALID_OPERATION_CODE)
        if cdb[-1] & NACA and self.profile.refuses_naca:
            raise CheckCondition(INVALID_FIELD_IN_CDB)
        if call.opcode in medium.BLOCK_COMMANDS:
            medium.check(self.medium, self.profile, cdb)
        if call.opcode == SERVICE_ACTION_IN_16 and call.action != READ_CAPACITY_16:
            raise CheckCondition(INVALID_FIELD_IN_CDB)
        if self.profile.compares_lengths:
            _check_length(call)


def _check_length(call: Call) -> None:
    """[lio] target_cmd_size_check: how many bytes come, if any, is known before they come."""
    if call.opcode == PERSISTENT_RESERVE_OUT:
        if len(call.data_out) < int.from_bytes(call.cdb[5:9], "big"):
            raise CheckCondition(INVALID_FIELD_IN_CDB)
        return
    transfers = bool(call.data_out) and call.opcode in medium.BLOCK_COMMANDS
    if transfers and len(call.data_out) != medium.data_out_bytes(call.cdb):
        raise CheckCondition(INVALID_FIELD_IN_COMMAND_IU)


def attend(profile: type[Spec], pending: list[tuple[int, int]], attention: tuple[int, int]) -> None:
    """Establish a unit attention condition; one that is already pending is not queued again."""
    if attention in pending:
        return
    if profile.attentions_report_one and attention[0] == RESET_ASC:
        pending.insert(0, attention)
    else:
        pending.append(attention)


def report(profile: type[Spec], pending: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Take the unit attention that is reported next."""
    asc, ascq = pending.pop(0)
    if profile.attentions_report_one:
        pending.clear()
    return UNIT_ATTENTION, asc, ascq
