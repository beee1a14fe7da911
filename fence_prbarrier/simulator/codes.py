"""The numbers on the wire, each with its clause.

Throughout this package clauses are those of SPC-4 r37, SBC-3 r36 and SAM-5 r21, but for the
model of persistent reservations: 5.7.x is SPC-4 r17, the revision that Linux cites, too (in r37
it is 5.12.x, with the parts of 5.7.11 one level deeper).
"""

from __future__ import annotations

# --- Status, SAM-5 5.3.1 -----------------------------------------------------------------------
GOOD = 0x00
CHECK_CONDITION = 0x02
BUSY = 0x08
RESERVATION_CONFLICT = 0x18
TASK_SET_FULL = 0x28

# --- Host byte of the Linux SCSI mid-layer, include/scsi/scsi_status.h -------------------------
HOST_OK = 0x00
HOST_NO_CONNECT = 0x01
HOST_TIME_OUT = 0x03
HOST_TRANSPORT_DISRUPTED = 0x0E

# --- Operation codes, SPC-4 ----------------------------------------------------------------
TEST_UNIT_READY = 0x00
REQUEST_SENSE = 0x03
INQUIRY = 0x12
READ_CAPACITY_10 = 0x25
READ_10 = 0x28
WRITE_10 = 0x2A
WRITE_AND_VERIFY_10 = 0x2E
VERIFY_10 = 0x2F
SYNCHRONIZE_CACHE_10 = 0x35
WRITE_SAME_10 = 0x41
PERSISTENT_RESERVE_IN = 0x5E
PERSISTENT_RESERVE_OUT = 0x5F
READ_16 = 0x88
WRITE_16 = 0x8A
WRITE_SAME_16 = 0x93
SERVICE_ACTION_IN_16 = 0x9E
REPORT_LUNS = 0xA0

READ_CAPACITY_16 = 0x10  # service action of SERVICE ACTION IN(16), SBC-3 5.16

# A task management function has no operation code. Faults are aimed at it by this number,
# which no CDB can carry.
LOGICAL_UNIT_RESET = 0x100

# --- PERSISTENT RESERVE IN service actions, 6.15.1 ----------------------------------------------
READ_KEYS = 0x00
READ_RESERVATION = 0x01
REPORT_CAPABILITIES = 0x02
READ_FULL_STATUS = 0x03

# --- PERSISTENT RESERVE OUT service actions, 6.16.2 ---------------------------------------------
REGISTER = 0x00
RESERVE = 0x01
RELEASE = 0x02
CLEAR = 0x03
PREEMPT = 0x04
PREEMPT_AND_ABORT = 0x05
REGISTER_AND_IGNORE_EXISTING_KEY = 0x06
REGISTER_AND_MOVE = 0x07
REPLACE_LOST_RESERVATION = 0x08

# --- Scope and type, 6.15.3.3 and 6.15.3.4 ------------------------------------------------------
LU_SCOPE = 0x0
WRITE_EXCLUSIVE = 0x1
EXCLUSIVE_ACCESS = 0x3
WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 0x5
EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 0x6
WRITE_EXCLUSIVE_ALL_REGISTRANTS = 0x7
EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 0x8

TYPE_NAMES = {
    WRITE_EXCLUSIVE: "Write Exclusive",
    EXCLUSIVE_ACCESS: "Exclusive Access",
    WRITE_EXCLUSIVE_REGISTRANTS_ONLY: "Write Exclusive, registrants only",
    EXCLUSIVE_ACCESS_REGISTRANTS_ONLY: "Exclusive Access, registrants only",
    WRITE_EXCLUSIVE_ALL_REGISTRANTS: "Write Exclusive, all registrants",
    EXCLUSIVE_ACCESS_ALL_REGISTRANTS: "Exclusive Access, all registrants",
}
REGISTRANTS_ONLY_TYPES = frozenset(
    (WRITE_EXCLUSIVE_REGISTRANTS_ONLY, EXCLUSIVE_ACCESS_REGISTRANTS_ONLY)
)
ALL_REGISTRANTS_TYPES = frozenset(
    (WRITE_EXCLUSIVE_ALL_REGISTRANTS, EXCLUSIVE_ACCESS_ALL_REGISTRANTS)
)
# The types under which a nexus without the right to access may still read, 5.7.1 table 45.
WRITE_EXCLUSIVE_TYPES = frozenset(
    (WRITE_EXCLUSIVE, WRITE_EXCLUSIVE_REGISTRANTS_ONLY, WRITE_EXCLUSIVE_ALL_REGISTRANTS)
)

# --- Sense keys, 4.5.6, and (key, asc, ascq) triples ---------------------------------
NO_SENSE = 0x0
NOT_READY = 0x2
ILLEGAL_REQUEST = 0x5
UNIT_ATTENTION = 0x6
ABORTED_COMMAND = 0xB

NO_ADDITIONAL_SENSE = (NO_SENSE, 0x00, 0x00)
COMMUNICATION_FAILURE = (NOT_READY, 0x08, 0x00)
INVALID_FIELD_IN_COMMAND_IU = (ILLEGAL_REQUEST, 0x0E, 0x03)
PARAMETER_LIST_LENGTH_ERROR = (ILLEGAL_REQUEST, 0x1A, 0x00)
INVALID_OPERATION_CODE = (ILLEGAL_REQUEST, 0x20, 0x00)
LBA_OUT_OF_RANGE = (ILLEGAL_REQUEST, 0x21, 0x00)
INVALID_FIELD_IN_CDB = (ILLEGAL_REQUEST, 0x24, 0x00)
INVALID_FIELD_IN_PARAMETER_LIST = (ILLEGAL_REQUEST, 0x26, 0x00)
INVALID_RELEASE = (ILLEGAL_REQUEST, 0x26, 0x04)
INSUFFICIENT_REGISTRATION_RESOURCES = (ILLEGAL_REQUEST, 0x55, 0x04)
DATA_PHASE_ERROR = (ABORTED_COMMAND, 0x4B, 0x00)

# Unit attentions are (asc, ascq): the sense key is always UNIT ATTENTION.
POWER_ON_OCCURRED = (0x29, 0x01)
BUS_DEVICE_RESET_FUNCTION_OCCURRED = (0x29, 0x03)
RESERVATIONS_PREEMPTED = (0x2A, 0x03)
RESERVATIONS_RELEASED = (0x2A, 0x04)
REGISTRATIONS_PREEMPTED = (0x2A, 0x05)

# --- Sense data, 4.5.2 and 4.5.3 -----------------------------------------------------------------
_CURRENT_DESCRIPTOR = 0x72
_CURRENT_FIXED = 0x70
_FIXED_BYTES = 18


def sense_data(triple: tuple[int, int, int], descriptor: bool) -> bytes:
    """Sense data for (sense key, asc, ascq) in fixed (4.5.3) or descriptor (4.5.2) format."""
    key, asc, ascq = triple
    if descriptor:
        return bytes((_CURRENT_DESCRIPTOR, key, asc, ascq, 0, 0, 0, 0))
    data = bytearray(_FIXED_BYTES)
    data[0] = _CURRENT_FIXED
    data[2] = key
    data[7] = _FIXED_BYTES - 8
    data[12] = asc
    data[13] = ascq
    return bytes(data)


def sense_triple(sense: bytes) -> tuple[int, int, int]:
    """(sense key, asc, ascq) of sense data that `sense_data` made."""
    if sense[0] == _CURRENT_DESCRIPTOR:
        return sense[1], sense[2], sense[3]
    return sense[2], sense[12], sense[13]
