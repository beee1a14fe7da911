"""Numbers of the SCSI standards, each with its clause (SPC-4 r37, SBC-3 r36, SAM-5 r21)."""

from __future__ import annotations

# Operation codes: SPC-4 table E.2, SBC-3 table 33.
TEST_UNIT_READY = 0x00
INQUIRY = 0x12
READ_10 = 0x28
WRITE_10 = 0x2A
SYNCHRONIZE_CACHE_10 = 0x35
PERSISTENT_RESERVE_IN = 0x5E
PERSISTENT_RESERVE_OUT = 0x5F
READ_16 = 0x88
WRITE_16 = 0x8A

# PERSISTENT RESERVE IN service actions: SPC-4 6.15.1, table 209.
READ_KEYS = 0x00
READ_RESERVATION = 0x01
REPORT_CAPABILITIES = 0x02
READ_FULL_STATUS = 0x03

# PERSISTENT RESERVE OUT service actions: SPC-4 6.16.2, table 222.
REGISTER = 0x00
RESERVE = 0x01
RELEASE = 0x02
CLEAR = 0x03
PREEMPT = 0x04
PREEMPT_AND_ABORT = 0x05
REGISTER_AND_IGNORE_EXISTING_KEY = 0x06

# Reservation scope and types: SPC-4 6.15.3.3 and 6.15.3.4, tables 213 and 214.
SCOPE_LOGICAL_UNIT = 0x0
WRITE_EXCLUSIVE = 0x1
EXCLUSIVE_ACCESS = 0x3
WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 0x5
EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 0x6
WRITE_EXCLUSIVE_ALL_REGISTRANTS = 0x7
EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 0x8

TYPE_NAMES = {
    WRITE_EXCLUSIVE: "Write Exclusive",
    EXCLUSIVE_ACCESS: "Exclusive Access",
    WRITE_EXCLUSIVE_REGISTRANTS_ONLY: "Write Exclusive - Registrants Only",
    EXCLUSIVE_ACCESS_REGISTRANTS_ONLY: "Exclusive Access - Registrants Only",
    WRITE_EXCLUSIVE_ALL_REGISTRANTS: "Write Exclusive - All Registrants",
    EXCLUSIVE_ACCESS_ALL_REGISTRANTS: "Exclusive Access - All Registrants",
}
ALL_REGISTRANTS_TYPES = (WRITE_EXCLUSIVE_ALL_REGISTRANTS, EXCLUSIVE_ACCESS_ALL_REGISTRANTS)

# Parameter list of PERSISTENT RESERVE OUT: SPC-4 6.16.3, table 224.
PR_OUT_LENGTH = 24
APTPL_BIT = 0x01
ALL_TG_PT_BIT = 0x04

# Allocation length is 16 bits wide: SPC-4 6.15.1.
MAX_ALLOCATION_LENGTH = 0xFFFF

# Status codes: SAM-5 5.3.1, table 35.
GOOD = 0x00
CHECK_CONDITION = 0x02
BUSY = 0x08
RESERVATION_CONFLICT = 0x18
TASK_SET_FULL = 0x28
ACA_ACTIVE = 0x30
TASK_ABORTED = 0x40

STATUS_NAMES = {
    GOOD: "GOOD",
    CHECK_CONDITION: "CHECK CONDITION",
    BUSY: "BUSY",
    RESERVATION_CONFLICT: "RESERVATION CONFLICT",
    TASK_SET_FULL: "TASK SET FULL",
    ACA_ACTIVE: "ACA ACTIVE",
    TASK_ABORTED: "TASK ABORTED",
}

# Sense keys: SPC-4 4.5.6, table 53.
NO_SENSE = 0x0
RECOVERED_ERROR = 0x1
NOT_READY = 0x2
ILLEGAL_REQUEST = 0x5
UNIT_ATTENTION = 0x6
ABORTED_COMMAND = 0xB

SENSE_KEY_NAMES = {
    0x0: "NO SENSE",
    0x1: "RECOVERED ERROR",
    0x2: "NOT READY",
    0x3: "MEDIUM ERROR",
    0x4: "HARDWARE ERROR",
    0x5: "ILLEGAL REQUEST",
    0x6: "UNIT ATTENTION",
    0x7: "DATA PROTECT",
    0x8: "BLANK CHECK",
    0x9: "VENDOR SPECIFIC",
    0xA: "COPY ABORTED",
    0xB: "ABORTED COMMAND",
    0xD: "VOLUME OVERFLOW",
    0xE: "MISCOMPARE",
    0xF: "COMPLETED",
}

# Additional sense codes that this project tells apart or prints: SPC-4 annex D.
BECOMING_READY = (0x04, 0x01)
ACCESS_STATE_TRANSITION = (0x04, 0x0A)
PORT_IN_STANDBY = (0x04, 0x0B)
PORT_UNAVAILABLE = (0x04, 0x0C)
RESERVATIONS_PREEMPTED = (0x2A, 0x03)
RESERVATIONS_RELEASED = (0x2A, 0x04)
REGISTRATIONS_PREEMPTED = (0x2A, 0x05)
INVALID_OPERATION_CODE = (0x20, 0x00)
INVALID_FIELD_IN_CDB = (0x24, 0x00)
INSUFFICIENT_REGISTRATION_RESOURCES = (0x55, 0x04)

ASC_NAMES = {
    (0x04, 0x01): "becoming ready",
    (0x04, 0x0A): "asymmetric access state transition",
    (0x04, 0x0B): "target port in standby state",
    (0x04, 0x0C): "target port in unavailable state",
    (0x08, 0x00): "LU communication failure",
    (0x1A, 0x00): "parameter list length error",
    (0x20, 0x00): "invalid command operation code",
    (0x24, 0x00): "invalid field in CDB",
    (0x25, 0x00): "logical unit not supported",
    (0x26, 0x00): "invalid field in parameter list",
    (0x26, 0x04): "invalid release of persistent reservation",
    (0x29, 0x00): "power on, reset, or bus device reset occurred",
    (0x29, 0x01): "power on occurred",
    (0x29, 0x02): "SCSI bus reset occurred",
    (0x29, 0x03): "bus device reset function occurred",
    (0x29, 0x04): "device internal reset",
    (0x29, 0x07): "I_T nexus loss occurred",
    (0x2A, 0x01): "mode parameters changed",
    (0x2A, 0x03): "reservations preempted",
    (0x2A, 0x04): "reservations released",
    (0x2A, 0x05): "registrations preempted",
    (0x2A, 0x09): "capacity data has changed",
    (0x2F, 0x00): "commands cleared by another initiator",
    (0x3F, 0x03): "inquiry data has changed",
    (0x3F, 0x0E): "reported LUNs data has changed",
    (0x55, 0x04): "insufficient registration resources",
}

# VPD pages: SPC-4 7.8.
VPD_SUPPORTED_PAGES = 0x00
VPD_UNIT_SERIAL_NUMBER = 0x80
VPD_DEVICE_IDENTIFICATION = 0x83

# Device identification descriptors: SPC-4 7.8.6.1, tables 588 to 590.
ASSOCIATION_LOGICAL_UNIT = 0
ASSOCIATION_TARGET_PORT = 1
DESIGNATOR_T10_VENDOR = 1
DESIGNATOR_EUI_64 = 2
DESIGNATOR_NAA = 3
DESIGNATOR_RELATIVE_TARGET_PORT = 4

# Peripheral qualifier and device type: SPC-4 6.6.2, tables 176 and 177.
QUALIFIER_CONNECTED = 0
DEVICE_TYPE_DISK = 0x00

# Protocol identifiers of TransportIDs: SPC-4 7.6.1, table 477.
PROTOCOL_FIBRE_CHANNEL = 0x0
PROTOCOL_PARALLEL_SCSI = 0x1
PROTOCOL_SBP = 0x3
PROTOCOL_SRP = 0x4
PROTOCOL_ISCSI = 0x5
PROTOCOL_SAS = 0x6
