"""What became of a command: every way a command can end, classified here and nowhere else.

The order is fixed, the most remote cause first: OS error, host status, driver
status, sense, SCSI status, residual, good (the order of sg3_utils'
lib/sg_pt_linux.c).  Whatever is not understood is UNKNOWN, never good.
"""

from __future__ import annotations

from ..errors import ProtocolError
from . import spc
from .sense import Sense, parse_sense

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .command import Command, LogicalUnitReset

# Verdicts.
GOOD = "good"
CONFLICT = "reservation conflict"
PREEMPTED = "reservations or registrations changed"  # look again: perhaps it was this node
ATTENTION = "unit attention"  # the command was not executed; send it again
BUSY = "busy"  # the command was not executed; send it again later
UNSUPPORTED = "not supported"  # the target does not know the command or one of its fields
REFUSED = "refused"  # the target says why it did not do it
UNKNOWN = "unknown"  # perhaps executed, perhaps not: only reading back can tell

# Host statuses, Linux include/scsi/scsi_status.h.
DID_OK = 0x00
DID_NEXUS_FAILURE = 0x11
HOST_STATUS_NAMES = {
    0x01: "NO_CONNECT",
    0x02: "BUS_BUSY",
    0x03: "TIME_OUT",
    0x04: "BAD_TARGET",
    0x05: "ABORT",
    0x06: "PARITY",
    0x07: "ERROR",
    0x08: "RESET",
    0x09: "BAD_INTR",
    0x0A: "PASSTHROUGH",
    0x0B: "SOFT_ERROR",
    0x0C: "IMM_RETRY",
    0x0D: "REQUEUE",
    0x0E: "TRANSPORT_DISRUPTED",
    0x0F: "TRANSPORT_FAILFAST",
    0x11: "NEXUS_FAILURE",
    0x14: "TRANSPORT_MARGINAL",
}

# Driver statuses, include/scsi/sg.h: the low nibble; SENSE only says that sense came.
DRIVER_MASK = 0x0F
DRIVER_OK = 0x00
DRIVER_SENSE = 0x08


class Completion:
    """How the operating system gave a command back, raw.

    ``os_error`` is an error text, empty if none; ``residual`` is in bytes;
    ``data`` is the whole data-in buffer, not yet cut by the residual.
    """

    __slots__ = ("os_error", "host", "driver", "status", "sense", "data", "residual")

    def __init__(
        self,
        status: int = spc.GOOD,
        sense: bytes = b"",
        data: bytes = b"",
        residual: int = 0,
        host: int = DID_OK,
        driver: int = DRIVER_OK,
        os_error: str = "",
    ) -> None:
        self.os_error = os_error
        self.host = host
        self.driver = driver
        self.status = status
        self.sense = sense
        self.data = data
        self.residual = residual


class Outcome:
    """A classified end: ``verdict`` is one of the constants above, ``detail`` is for people."""

    __slots__ = ("verdict", "detail", "data", "sense")

    def __init__(
        self, verdict: str, detail: str, data: bytes = b"", sense: Sense | None = None
    ) -> None:
        self.verdict = verdict
        self.detail = detail
        self.data = data
        self.sense = sense

    @property
    def good(self) -> bool:
        return self.verdict == GOOD

    def __repr__(self) -> str:
        return f"<{self.verdict}: {self.detail}>"


def classify(command: Command | LogicalUnitReset, completion: Completion) -> Outcome:
    """The one verdict of one completion."""
    if completion.os_error:
        return Outcome(UNKNOWN, completion.os_error)
    if completion.host != DID_OK and not _is_conflict_in_disguise(completion):
        name = HOST_STATUS_NAMES.get(completion.host, "unknown")
        return Outcome(UNKNOWN, f"transport error, host status {completion.host:02X}h ({name})")
    if completion.driver & DRIVER_MASK not in (DRIVER_OK, DRIVER_SENSE):
        return Outcome(UNKNOWN, f"driver status {completion.driver:02X}h")
    if completion.status == spc.CHECK_CONDITION or (
        completion.status == spc.GOOD and completion.driver & DRIVER_MASK == DRIVER_SENSE
    ):
        return _by_sense(command, completion)
    if completion.status != spc.GOOD:
        return _by_status(completion.status)
    return _by_residual(command, completion)


def _is_conflict_in_disguise(completion: Completion) -> bool:
    # Kernels before 5.19 set DID_NEXUS_FAILURE with RESERVATION CONFLICT.
    return completion.host == DID_NEXUS_FAILURE and completion.status == spc.RESERVATION_CONFLICT


def _by_sense(command: Command | LogicalUnitReset, completion: Completion) -> Outcome:
    try:
        sense = parse_sense(completion.sense)
    except ProtocolError as error:
        return Outcome(UNKNOWN, f"CHECK CONDITION: {error}")
    detail = f"CHECK CONDITION: {sense}"
    if sense.deferred:
        # SPC-4 4.5.5: the command that reports a deferred error was not performed.
        return Outcome(ATTENTION, detail, sense=sense)
    if sense.key == spc.RECOVERED_ERROR:
        return _by_residual(command, completion)
    return Outcome(
        _SENSE_VERDICTS.get((sense.key, *sense.code)) or _by_key(sense), detail, b"", sense
    )


_SENSE_VERDICTS = {
    (spc.UNIT_ATTENTION, *spc.RESERVATIONS_PREEMPTED): PREEMPTED,
    (spc.UNIT_ATTENTION, *spc.RESERVATIONS_RELEASED): PREEMPTED,
    (spc.UNIT_ATTENTION, *spc.REGISTRATIONS_PREEMPTED): PREEMPTED,
    (spc.NOT_READY, *spc.BECOMING_READY): BUSY,
    (spc.NOT_READY, *spc.ACCESS_STATE_TRANSITION): BUSY,
    # Not executed here; another path may do (SPC-4 5.15.2.4.4, 5.15.2.4.5).
    (spc.NOT_READY, *spc.PORT_IN_STANDBY): UNKNOWN,
    (spc.NOT_READY, *spc.PORT_UNAVAILABLE): UNKNOWN,
    (spc.ILLEGAL_REQUEST, *spc.INVALID_OPERATION_CODE): UNSUPPORTED,
    (spc.ILLEGAL_REQUEST, *spc.INVALID_FIELD_IN_CDB): UNSUPPORTED,
}


def _by_key(sense: Sense) -> str:
    if sense.key == spc.UNIT_ATTENTION:
        return ATTENTION
    if sense.key == spc.ABORTED_COMMAND:
        return UNKNOWN  # begun, and how far it came is not told
    return REFUSED


def _by_status(status: int) -> Outcome:
    detail = spc.STATUS_NAMES.get(status, f"unknown status {status:02X}h")
    if status == spc.RESERVATION_CONFLICT:
        return Outcome(CONFLICT, detail)
    if status in (spc.BUSY, spc.TASK_SET_FULL):
        return Outcome(BUSY, detail)
    return Outcome(UNKNOWN, detail)


def _by_residual(command: Command | LogicalUnitReset, completion: Completion) -> Outcome:
    expected = len(completion.data)
    moved_out = len(getattr(command, "data_out", b""))
    if not 0 <= completion.residual <= max(expected, moved_out):
        return Outcome(UNKNOWN, f"impossible residual of {completion.residual} bytes")
    if moved_out and completion.residual:
        return Outcome(UNKNOWN, f"{completion.residual} bytes of the parameters were not taken")
    return Outcome(GOOD, "GOOD", completion.data[: expected - completion.residual])
