"""Linux SG_IO: SCSI pass-through to block, sg and bsg device nodes.

Nodes are opened read-only: SG_IO asks for a capability, not for the open mode,
and closing a disk that was open for writing makes udev rescan it.

Three bands: the kernel's header (include/scsi/sg.h, include/uapi/linux/bsg.h),
the node, the ioctls.
"""

from __future__ import annotations

import os
from array import array
from fcntl import ioctl
from struct import Struct

from ..errors import DeviceError
from ..scsi.outcome import Completion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..scsi.command import Command
    from .sysfs import Node

SG_IO = 0x2285
SG_SCSI_RESET = 0x2284
# A device reset, and nothing larger if it fails: escalation would hit other LUs.
SG_SCSI_RESET_DEVICE = 1
SG_SCSI_RESET_NO_ESCALATE = 0x100

SG_DXFER_NONE = -1
SG_DXFER_TO_DEVICE = -2
SG_DXFER_FROM_DEVICE = -3
SENSE_BYTES = 96
POISON_BYTES = 8

# struct sg_io_hdr, native alignment: interface_id, dxfer_direction, cmd_len,
# mx_sb_len, iovec_count, dxfer_len, dxferp, cmdp, sbp, timeout (ms), flags,
# pack_id, usr_ptr; then what the kernel fills in: status, masked_status,
# msg_status, sb_len_wr, host_status, driver_status, resid, duration, info.
V3 = Struct("@iiBBHIPPPIIiPBBBBHHiII")
V3_BYTES = (V3.size + 7) & ~7

# struct sg_io_v4: guard, protocol, subprotocol, request_len, request,
# request_tag, request_attr, request_priority, request_extra, max_response_len,
# response, dout_iovec_count, dout_xfer_len, din_iovec_count, din_xfer_len,
# dout_xferp, din_xferp, timeout (ms), flags, usr_ptr, spare_in; then
# driver_status, transport_status, device_status, retry_delay, info, duration,
# response_len, din_resid, dout_resid, generated_tag, spare_out, padding.
V4 = Struct("=iIIIQQIIIIQIIIIQQIIQIIIIIIIIiiQII")
V4_GUARD = ord("Q")
INT = Struct("@i")

BSG = "bsg"


class SgIo:
    """One path: an open device node."""

    __slots__ = ("node", "_descriptor")

    def __init__(self, node: Node) -> None:
        """Open ``node``; DeviceError names it and says what the kernel said."""
        self.node = node
        self._descriptor = -1
        try:
            # Non-blocking: an open must not wait for a device in error recovery.
            self._descriptor = os.open(node.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            # SG_SCSI_RESET on a non-blocking descriptor fails with EAGAIN while
            # another reset of the same session runs, which may take seconds.
            os.set_blocking(self._descriptor, True)
            opened = os.fstat(self._descriptor).st_rdev
        except OSError as error:
            self.close()
            raise DeviceError(f"cannot be opened: {explain(error)}") from None
        if opened != node.number:
            self.close()
            raise DeviceError("became another device while it was being opened; try again")

    @property
    def running(self) -> bool:
        """Whether the kernel shows this path in a state to get commands."""
        from .sysfs import RUNNING

        return self.node.state == RUNNING

    def close(self) -> None:
        """Give the descriptor back; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def execute(self, command: Command, timeout_ms: int) -> Completion:
        """Send one command and wait for its end, at most about ``timeout_ms``."""
        data = array("B", command.data_out or _poisoned(command.data_in_length))
        if self.node.kind == BSG:
            return self._v4(command, data, timeout_ms)
        return self._v3(command, data, timeout_ms)

    def _v3(self, command: Command, data: array[int], timeout_ms: int) -> Completion:
        cdb, sense = array("B", command.cdb), array("B", bytes(SENSE_BYTES))
        direction = _direction(command)
        header = bytearray(V3_BYTES)
        V3.pack_into(
            header, 0, ord("S"), direction, len(cdb), SENSE_BYTES, 0, len(data), _address(data),
            _address(cdb), _address(sense), timeout_ms, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        failed = self._ioctl(SG_IO, header)
        if failed:
            return Completion(os_error=failed)
        fields = V3.unpack_from(header)
        status, _, _, sense_length, host, driver, residual = fields[13:20]
        return Completion(
            status,
            sense.tobytes()[:sense_length],
            data.tobytes() if direction == SG_DXFER_FROM_DEVICE else b"",
            residual,
            host,
            driver,
        )

    def _v4(self, command: Command, data: array[int], timeout_ms: int) -> Completion:
        cdb, sense = array("B", command.cdb), array("B", bytes(SENSE_BYTES))
        direction = _direction(command)
        out = len(data) if direction == SG_DXFER_TO_DEVICE else 0
        into = len(data) if direction == SG_DXFER_FROM_DEVICE else 0
        header = bytearray(V4.size)
        V4.pack_into(
            header, 0, V4_GUARD, 0, 0, len(cdb), _address(cdb), 0, 0, 0, 0, SENSE_BYTES,
            _address(sense), 0, out, 0, into, _address(data) if out else 0,
            _address(data) if into else 0, timeout_ms, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        failed = self._ioctl(SG_IO, header)
        if failed:
            return Completion(os_error=failed)
        fields = V4.unpack_from(header)
        driver, host, status, _, _, _, sense_length, residual_in, residual_out = fields[21:30]
        return Completion(
            status,
            sense.tobytes()[:sense_length],
            data.tobytes() if into else b"",
            residual_in if into else residual_out,
            host,
            driver,
        )

    def reset(self, timeout_ms: int) -> Completion:
        """LOGICAL UNIT RESET.  The kernel sets its own time limit for this call.

        A bsg node cannot ask for it, so the block or sg node of the same path does.
        """
        if self.node.kind == BSG:
            sibling = self.node.sibling()
            if sibling is None:
                return Completion(os_error="no block or sg node of this path to reset it by")
            try:
                other = SgIo(sibling)
            except DeviceError as error:
                return Completion(os_error=f"{sibling.path}: {error}")
            try:
                return other.reset(timeout_ms)
            finally:
                other.close()
        level = SG_SCSI_RESET_DEVICE | SG_SCSI_RESET_NO_ESCALATE
        failed = self._ioctl(SG_SCSI_RESET, bytearray(INT.pack(level)))
        return Completion(os_error=failed)

    def _ioctl(self, request: int, argument: bytearray) -> str:
        """The error's text, empty if none.

        Not repeated when a signal interrupts it: the command may be under way.
        A buffer below 1024 bytes is copied by fcntl, which frees the GIL.
        """
        try:
            ioctl(self._descriptor, request, argument, True)
        except OSError as error:
            return explain(error)
        return ""


def _poisoned(length: int) -> bytes:
    """A data-in buffer whose header is no reply of any command.

    GOOD without a byte moved and without a residual would otherwise read as
    zeros: a list of nobody.
    """
    return (b"\xff" * POISON_BYTES + bytes(length))[:length]


def _direction(command: Command) -> int:
    if command.data_out:
        return SG_DXFER_TO_DEVICE
    return SG_DXFER_FROM_DEVICE if command.data_in_length else SG_DXFER_NONE


def _address(buffer: array[int]) -> int:
    return buffer.buffer_info()[0]


# What the kernel means by an errno here: drivers/scsi/sd.c, sg.c, block/bsg.c.
_MEANINGS = {
    "ENODEV": "the device is gone",
    "ENXIO": "the path is gone, or the device is offline",
    "EIO": "I/O error below the SCSI command",
    "EACCES": "not allowed; run as root",
    "EPERM": "the kernel did not allow this command; run as root",
    "EINTR": "interrupted; whether the command was executed is not known",
    "EBUSY": "the device is in use exclusively, or a reset is under way",
    "ENOTTY": "not a SCSI device",
    "ENOENT": "it is not there",
    "ENOMEM": "the kernel has no memory for it",
    "EMFILE": "too many open files",
}


def explain(error: OSError) -> str:
    """An OSError in words: what it means for a SCSI device, and its name."""
    from errno import errorcode

    name = errorcode.get(error.errno or 0, str(error.errno))
    return f"{_MEANINGS.get(name, error.strerror)} ({name})"
